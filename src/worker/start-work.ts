import type { AuditChain } from '../shared/audit/chain.ts';
import type { CodedError } from '../shared/errors.ts';
import type { HsmWork, HsmWorkAnswer } from '../shared/hsm-work.ts';
import type { Log } from '../shared/log.ts';
import type { Releasers } from '../shared/releasers.ts';
import type { WorkerReport } from '../shared/worker-report.ts';
import type { ApiClient, Leased } from './api-client.ts';
import { carryingHeads, createHeadCarrier } from './audit/head-carrier.ts';
import { startHeadSigner } from './audit/head-signer.ts';
import { createCapacity } from './capacity.ts';
import type { DriverDatabase } from './database.ts';
import { createDeviceJudge } from './device-judge.ts';
import { createEasing } from './easing.ts';
import { Holdings } from './holdings.ts';
import type { Hsm } from './hsm/session-threads.ts';
import { createGenerateKeyJob } from './jobs/generate-key.ts';
import { answeringCalls, answeringMoves } from './jobs/hsm-calls.ts';
import { errorOutcome } from './jobs/job.ts';
import { createSignJob } from './jobs/sign.ts';
import { createJournal, type JournalWriter } from './journal.ts';
import { startKeepAlive } from './keep-alive.ts';
import { createKeyStore } from './key-store.ts';
import type { MaintenanceHsm } from './maintenance/bench.ts';
import { createHsmMaintenance } from './maintenance/hsm-maintenance.ts';
import { createPace } from './maintenance/pace.ts';
import { createMetrics } from './metrics.ts';
import { createOutcomeReporter } from './outcome-reporter.ts';
import { createAdmission } from './policy/admission.ts';
import { startAttestingOrders } from './policy/attest-orders.ts';
import type { OpenPolicy } from './policy/open-policy.ts';
import { createPoller } from './poller.ts';
import type { SlotState } from './slot-state.ts';
import { createWork } from './work.ts';

export interface WorkParts {
  readonly keyStore: string;
  readonly writer: JournalWriter;
  readonly threads: number;
  readonly hsm: Pick<
    Hsm,
    'capabilities' | 'generateKeys' | 'sign' | 'checkTags' | 'signHead' | 'attestOrder' | 'probe' | 'rewrap' | 'retag'
  > &
    MaintenanceHsm;
  readonly api: ApiClient;
  readonly database: DriverDatabase;
  readonly audit: AuditChain;
  /** What requests are held to beside the HSM: src/worker/policy. */
  readonly policy: OpenPolicy;
  readonly state: SlotState;
  readonly keepAliveMs: number;
  /** The current keys. */
  readonly masterKeyId: string;
  readonly integrityKeyId: string;
  /** What siblings on the same token should know. */
  readonly onDeviceFault: (error: CodedError) => void;
  /** The worker cannot go on. */
  readonly fail: (error: CodedError) => void;
  readonly releasers: Releasers;
  readonly log: Log;
}

export interface Working {
  facts(): WorkFacts;
  /** A sibling on the same token met a device fault. */
  deviceSuspect(): void;
  /** Maintenance on the HSM, see src/shared/hsm-work.ts. Never rejects. */
  hsmWork(work: HsmWork): Promise<HsmWorkAnswer>;
}

/** Its part of the worker's report. */
export type WorkFacts = Pick<
  WorkerReport,
  'requests' | 'events' | 'inQueue' | 'inDriver' | 'inHsm' | 'breaker' | 'held' | 'database' | 'leasedOnce' | 'policy'
>;

/**
 * Joins polling, jobs, journal and reports, and makes the slot ready. The end is the reverse: polling stops, what is
 * inside the HSM finishes and is journaled and reported, everything else is given back.
 */
export function startWork(parts: WorkParts): Working {
  const { keyStore, threads, database, audit, state, fail, releasers, log } = parts;
  const metrics = createMetrics();
  const { count } = metrics;
  let leasedOnce = false;
  const holdings = new Holdings();
  const carrier = createHeadCarrier(count, log);
  const api = carryingHeads(parts.api, carrier);
  const hsm = answeringCalls(parts.hsm, metrics.observe);
  const capabilities = new Set(parts.hsm.capabilities);
  const keys = createKeyStore({ database, audit, checkTags: hsm.checkTags, count, log });
  const journal = createJournal(database, audit, parts.writer, count);
  // The next call says at once that nothing more is wanted; the one after it, what is no longer held.
  const onDoubt = (): void => poller.interrupt();
  const admission = createAdmission({ keyStore, ...parts.policy, onDoubt, count, log });
  const newKeysSign = [...(parts.policy.rules.kinds ?? [])];

  releasers.add('what is held', giveBackAll, 500);
  const reporter = createOutcomeReporter({
    send: (outcomes, signal) => api.report(outcomes, signal),
    holdings,
    onAcknowledged: () => {
      work.look();
      poller.wake();
    },
    onEnded: fail,
    count,
    log,
  });
  releasers.add('outcomes', () => reporter.stop());
  releasers.add('outcomes on their way', () => reporter.drained(), 1_000);
  const mayWork = (): boolean => state.now === 'ready' && database.answers;
  const heads = startHeadSigner({ audit, carrier, signHead: (head) => parts.hsm.signHead(head), mayWork, log });
  releasers.add('audit chain', () => heads.close(), 800);
  const attesting = startAttestingOrders({
    keyStore,
    attestationKey: parts.policy.attestationKey,
    policy: parts.policy.state,
    attestOrder: (order) => parts.hsm.attestOrder(order),
    database,
    audit,
    mayWork,
    log,
  });
  releasers.add('attesting of orders', () => attesting.stop());

  const easing = createEasing(threads, () => {
    work.look();
    poller.wake();
  });
  const device = createDeviceJudge({
    state,
    probe: () => parts.hsm.probe(),
    onFault(error) {
      parts.onDeviceFault(error);
      // After the requests that failed were told so: from here on an error would not count any more.
      setImmediate(() => {
        work.giveBack();
        poller.interrupt();
      });
    },
    onCrowded: easing.crowded,
    onHopeless: fail,
    count,
    log,
  });
  const capacity = createCapacity(threads);
  const work = createWork({
    generateKey: createGenerateKeyJob({ keyStore, capabilities, keys, newKeysSign, admission, hsm, database }),
    sign: createSignJob({ keyStore, capabilities, keys, journal, admission, hsm, database }),
    threads,
    capacity,
    holdings,
    device,
    easing,
    mayBegin: () => state.now === 'ready',
    report: reporter.report,
    onRoom: () => poller.wake(),
    metrics,
    log,
  });
  releasers.add('work in the HSM', () => work.finish(), 1_800);
  // At the end nobody waits for a database that is lost: what cannot be journaled is given back.
  releasers.add('waiting for the database', () => database.stop());

  function take({ requests, malformed }: Leased): void {
    work.take(requests);
    for (const { id, lease, problem } of malformed) {
      log.error({ requestId: id, cause: problem }, 'delivered request is not driver protocol v1');
      if (!holdings.take(id, lease, 0)) continue;
      holdings.answered(id);
      reporter.report(id, errorOutcome('BAD_REQUEST', problem, false));
    }
  }

  /** The last call; once more where it took along an older head than the chain's last. */
  async function giveBackAll(): Promise<void> {
    const nothing = { max: 0, holding: [], waitMs: 0 };
    await api.lease(nothing);
    if (carrier.waiting) await api.lease(nothing);
  }

  async function lease(...call: Parameters<ApiClient['lease']>): Promise<Leased> {
    try {
      const leased = await api.lease(...call);
      leasedOnce = true;
      return leased;
    } catch (error) {
      if (call[1]?.aborted !== true) count('lease_calls_failed');
      throw error;
    }
  }

  const poller = createPoller({
    lease,
    room: () => (state.now === 'ready' && database.answers && admission.mayTake ? work.room() : 0),
    holding: () => holdings.ids(),
    take,
    onEnded: fail,
  });
  releasers.add('polling', () => poller.stop(), 300);

  database.onChange((answers) => {
    if (!answers) work.giveBack();
    poller.interrupt();
  });
  state.onChange((now) => {
    if (now === 'ready') work.look();
    poller.interrupt();
  });
  const keepAlive = startKeepAlive({
    everyMs: parts.keepAliveMs,
    threads,
    identity: { keyStore, masterKeyId: parts.masterKeyId, integrityKeyId: parts.integrityKeyId },
    idleMs: hsm.idleMs,
    mayCall: () => state.now === 'ready',
    checkTags: hsm.checkTags,
    onFailure: (failure) => void device.judge(failure),
    count,
  });
  releasers.add('keep-alive and breaker', () => {
    keepAlive.stop();
    device.stop();
  });
  const maintenance = createHsmMaintenance({
    keyStore,
    hsm: parts.hsm,
    moving: answeringMoves(parts.hsm),
    database,
    audit,
    device,
    state,
    pace: createPace(() => capacity.inside > 0),
    log,
  });
  releasers.add('maintenance', () => maintenance.stop());
  state.to('ready');
  poller.start();
  const facts = (): WorkFacts => ({
    ...metrics.snapshot,
    breaker: device.breaker,
    held: holdings.size,
    database: database.answers ? 'answers' : 'lost',
    leasedOnce,
    policy: admission.report(),
  });
  return { facts, deviceSuspect: device.suspect, hsmWork: maintenance.take };
}
