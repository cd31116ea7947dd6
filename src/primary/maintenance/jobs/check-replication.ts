import { readReplication, replicationProblem } from '../../../shared/database/replication.ts';
import type { Job } from '../job.ts';

/** Replicas come and go while nodes run: what was right at their start is looked at again. */
export const checkReplicas: Job = async ({ pool }) => {
  const replication = await readReplication(pool);
  const problem = replicationProblem(replication);
  const { replicas, synchronous, waitsFor } = replication;
  return {
    facts: { replicas, synchronous: synchronous ?? 'not visible to this role', waitsFor },
    alarms: problem === undefined ? [] : [problem],
  };
};
