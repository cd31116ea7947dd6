import { ceremonyWarnings } from '../shared/ceremony-file.ts';
import type { KeyRing } from '../shared/key-ring.ts';
import type { SlotFacts, WorkerReport } from '../shared/worker-report.ts';
import type { ApiTransport } from './api-transport.ts';
import type { Hsm } from './hsm/session-threads.ts';
import { createMetrics } from './metrics.ts';
import type { WorkFacts } from './start-work.ts';

/** What is reported of work before there is any. */
export const idleReport: WorkFacts = {
  ...createMetrics().snapshot,
  breaker: 'closed',
  held: 0,
  database: 'answers',
  leasedOnce: false,
};

/** A rotation slot has none. */
export function apiFacts(
  transport: ApiTransport | undefined,
): Pick<WorkerReport, 'api' | 'apiTrouble' | 'certificateExpiresAt'> {
  if (transport === undefined) return { api: 'none' };
  const { trouble, certificateExpiresAt } = transport;
  return trouble === undefined
    ? { api: 'reached', certificateExpiresAt }
    : { api: 'lost', apiTrouble: trouble, certificateExpiresAt };
}

export function slotFacts({ token, capabilities, probeTable, keys, fingerprint }: Hsm, ring: KeyRing): SlotFacts {
  const { masterKey, integrityKey } = ring.current;
  return {
    token,
    warnings: ceremonyWarnings(ring.current, token.serial),
    masterKeyId: masterKey.id,
    integrityKeyId: integrityKey.id,
    keys,
    ...(fingerprint === undefined ? {} : { fingerprint }),
    capabilities,
    probe: probeTable,
  };
}
