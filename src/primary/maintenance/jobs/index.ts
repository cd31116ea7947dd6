import type { DriverConfiguration } from '../../../shared/configuration/driver.ts';
import type { Rotation } from '../../../shared/rotation/rotation-rows.ts';
import { allowRotation } from '../../rotation/allow-rotation.ts';
import type { Jobs } from '../job.ts';
import { reapNodes } from './reap-nodes.ts';
import { createRotationJob } from './rotate-keys.ts';

/** What jobs need to know of the node. */
export type JobsConfiguration = Pick<
  DriverConfiguration,
  'keyStore' | 'node' | 'ceremonyFile' | 'furtherCeremonyFiles' | 'operators' | 'rotation'
>;

/** What is done for each queue. */
export function createJobs(inForce: () => JobsConfiguration): Jobs {
  const allow = (rotation: Rotation): void => allowRotation(inForce(), rotation);
  const origin = () => ({ keyStore: inForce().keyStore, node: inForce().node });
  // The integrity key’s job gives way to signing by itself, on the slot.
  const unlimited = Number.MAX_SAFE_INTEGER;
  return {
    'node-reaping': reapNodes,
    'master-key-rotation': createRotationJob('master-key', {
      keysPerSecond: () => inForce().rotation?.keysPerSecond ?? unlimited,
      allow,
      origin,
    }),
    'integrity-key-rotation': createRotationJob('integrity-key', { keysPerSecond: () => unlimited, allow, origin }),
  };
}
