import type { CodedError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { Releasers } from '../shared/releasers.ts';
import type { DriverDatabase } from './database.ts';
import { createDeviceJudge } from './device-judge.ts';
import type { Hsm } from './hsm/session-threads.ts';
import { answeringCalls, answeringMoves } from './jobs/hsm-calls.ts';
import { startKeepAlive } from './keep-alive.ts';
import { createHsmMaintenance } from './maintenance/hsm-maintenance.ts';
import { createPace } from './maintenance/pace.ts';
import { createMetrics } from './metrics.ts';
import { idleReport } from './report.ts';
import type { SlotState } from './slot-state.ts';
import type { Working } from './start-work.ts';

export interface RotationParts {
  readonly keyStore: string;
  readonly masterKeyId: string;
  readonly integrityKeyId: string;
  readonly threads: number;
  readonly keepAliveMs: number;
  readonly hsm: Hsm;
  readonly database: DriverDatabase;
  readonly state: SlotState;
  readonly onDeviceFault: (error: CodedError) => void;
  /** The worker cannot go on. */
  readonly fail: (error: CodedError) => void;
  readonly releasers: Releasers;
  readonly log: Log;
}

/**
 * What a rotation slot does instead of signing: it asks nobody for requests and works for its primary's rotation alone.
 * Its device is watched as that of any slot.
 */
export function serveRotation(parts: RotationParts): Working {
  const { keyStore, masterKeyId, integrityKeyId, threads, state, database, fail, releasers, log } = parts;
  const metrics = createMetrics();
  const hsm = answeringCalls(parts.hsm, metrics.observe);
  const device = createDeviceJudge({
    state,
    probe: () => parts.hsm.probe(),
    onFault: parts.onDeviceFault,
    onCrowded: () => {},
    onHopeless: fail,
    count: metrics.count,
    log,
  });
  const keepAlive = startKeepAlive({
    everyMs: parts.keepAliveMs,
    threads,
    identity: { keyStore, masterKeyId, integrityKeyId },
    idleMs: hsm.idleMs,
    mayCall: () => state.now === 'ready',
    checkTags: hsm.checkTags,
    onFailure: (failure) => void device.judge(failure),
    count: metrics.count,
  });
  releasers.add('keep-alive and breaker', () => {
    keepAlive.stop();
    device.stop();
  });
  releasers.add('waiting for the database', () => database.stop());
  const maintenance = createHsmMaintenance({
    keyStore,
    hsm: parts.hsm,
    moving: answeringMoves(parts.hsm),
    database,
    device,
    state,
    pace: createPace(() => false),
    log,
  });
  releasers.add('maintenance', () => maintenance.stop());
  state.to('ready');
  return {
    facts: () => ({
      ...idleReport,
      ...metrics.snapshot,
      breaker: device.breaker,
      database: database.answers ? 'answers' : 'lost',
    }),
    deviceSuspect: device.suspect,
    hsmWork: maintenance.take,
  };
}
