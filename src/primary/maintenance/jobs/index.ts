import type { Jobs } from '../job.ts';
import { reapNodes } from './reap-nodes.ts';

/** What is done for each queue. */
export function createJobs(): Jobs {
  return {
    'node-reaping': reapNodes,
  };
}
