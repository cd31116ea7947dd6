import type { DriverConfiguration } from '../../../shared/configuration/driver.ts';
import { createApiKeys } from '../../reconciliation/api-keys.ts';
import { reconcile } from '../../reconciliation/reconcile.ts';
import { createStoredKeys } from '../../reconciliation/stored-keys.ts';
import type { Job } from '../job.ts';

/** The log names so many keys; `hsm-driver reconcile` lists them all. */
const most = 20;

/** Daily; after a promotion or a restore people run the command, which does the same. */
export function createReconcile(inForce: () => Pick<DriverConfiguration, 'api' | 'keyStore'>): Job {
  return async ({ pool, signal, progress, audit, log }) => {
    const { api, keyStore } = inForce();
    if (api === undefined) throw new Error('a rotation node does not take this job');
    const found = await reconcile(createApiKeys(api), createStoredKeys(pool, keyStore), {
      signal,
      most,
      onProgress: (compared) => progress({ ...compared }),
    });
    const { differences, ...facts } = found;
    for (const { kind, ...one } of differences)
      log.error({ ...one, difference: kind }, 'the databases differ on a key');
    const { missingHere, unknownToApi, different } = facts;
    if (differences.length === 0) return { facts, alarms: [] };
    await audit.append({ kind: 'databases-differ', missingHere, unknownToApi, different });
    return {
      facts,
      alarms: [
        `the signing API and this database do not know the same keys: ${missingHere} missing here, ${unknownToApi} unknown to the API, ${different} different; run hsm-driver reconcile`,
      ],
    };
  };
}
