import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { PgBoss } from 'pg-boss';
import { openBossForCommand } from '../../shared/maintenance/boss.ts';
import type { QueueName } from '../../shared/maintenance/queues.ts';
import type { RotationKind } from '../../shared/rotation/rotation-rows.ts';

const queues = {
  'master-key': 'master-key-rotation',
  'integrity-key': 'integrity-key-rotation',
} as const satisfies Record<RotationKind, QueueName>;

/** A job that is at work looks at its rotation between two batches, and one that ends has looked before: within this time. */
const endsWithinMs = 3_000;
const lookMs = 200;

/**
 * Asks the nodes to go on with the running rotation: one that is able takes the job at its next look. There is one job at
 * a time. One that waits or is at work goes on by itself; but one that saw the rotation paused and is just ending does not,
 * and the next one can be asked for only when it has ended.
 */
export async function askForRotation(pool: pg.Pool, kind: RotationKind): Promise<void> {
  const boss = openBossForCommand(pool);
  // What matters is thrown by the call that meets it.
  boss.on('error', () => {});
  await boss.start();
  try {
    const queue = queues[kind];
    const deadline = performance.now() + endsWithinMs;
    while (performance.now() < deadline && (await boss.send(queue, null)) === null && (await isAtWork(boss, queue)))
      await sleep(lookMs);
    // It may have ended between the two looks; where one waits, this asks for nothing.
    await boss.send(queue, null);
  } finally {
    await boss.stop({ graceful: false });
  }
}

async function isAtWork(boss: PgBoss, queue: QueueName): Promise<boolean> {
  return (await boss.findJobs(queue)).some(({ state }) => state === 'active');
}
