import { ceremonyWarnings } from '../shared/ceremony-file.ts';
import type { KeyRing } from '../shared/key-ring.ts';
import type { SlotFacts } from '../shared/worker-report.ts';
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
