import type { DriverConfiguration } from '../../../shared/configuration/driver.ts';
import type { Rotation } from '../../../shared/rotation/rotation-rows.ts';
import { allowRotation } from '../../rotation/allow-rotation.ts';
import type { RotationLeave } from '../../rotation/rotation-leave.ts';
import type { Jobs } from '../job.ts';
import { anchorAudit } from './anchor-audit.ts';
import { exchangeCanaries } from './canary-exchange.ts';
import { createBackupCheck } from './check-backup.ts';
import { checkNamedKeys } from './check-named-keys.ts';
import { checkReplicas } from './check-replication.ts';
import { createKeyAudit } from './key-audit.ts';
import { reapNodes } from './reap-nodes.ts';
import { createReconcile } from './reconcile.ts';
import { createRotationJob } from './rotate-keys.ts';
import { createTrimJournal } from './trim-journal.ts';

/** What jobs need to know of the node. */
export type JobsConfiguration = Pick<
  DriverConfiguration,
  'api' | 'keyStore' | 'node' | 'ceremonyFile' | 'furtherCeremonyFiles' | 'maintenance' | 'operators' | 'rotation'
>;

/** What is done for each queue. */
export function createJobs(inForce: () => JobsConfiguration): Jobs {
  const settings = () => inForce().maintenance;
  const allow = (rotation: Rotation): RotationLeave => allowRotation(inForce(), rotation);
  const origin = () => ({ keyStore: inForce().keyStore, node: inForce().node });
  // The integrity key’s job gives way to signing by itself, on the slot.
  const unlimited = Number.MAX_SAFE_INTEGER;
  return {
    'key-audit': createKeyAudit(() => settings().keyAuditDays),
    'key-check': checkNamedKeys,
    'canary-exchange': exchangeCanaries,
    reconciliation: createReconcile(inForce),
    'journal-trimming': createTrimJournal(() => settings().journalDays),
    'backup-check': createBackupCheck(() => settings().backupMaxAgeHours),
    'replication-check': checkReplicas,
    'audit-anchoring': anchorAudit,
    'node-reaping': reapNodes,
    'master-key-rotation': createRotationJob('master-key', {
      keysPerSecond: () => inForce().rotation?.keysPerSecond ?? unlimited,
      allow,
      origin,
    }),
    'integrity-key-rotation': createRotationJob('integrity-key', { keysPerSecond: () => unlimited, allow, origin }),
  };
}
