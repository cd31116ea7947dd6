import type pg from 'pg';
import { openBossForCommand } from '../../shared/maintenance/boss.ts';
import type { QueueName } from '../../shared/maintenance/queues.ts';
import type { RotationKind } from '../../shared/rotation/rotation-rows.ts';

const queues = {
  'master-key': 'master-key-rotation',
  'integrity-key': 'integrity-key-rotation',
} as const satisfies Record<RotationKind, QueueName>;

/** Asks the nodes to go on with the running rotation: one that is able takes the job at its next look. */
export async function askForRotation(pool: pg.Pool, kind: RotationKind): Promise<void> {
  const boss = openBossForCommand(pool);
  // What matters is thrown by the call that meets it.
  boss.on('error', () => {});
  await boss.start();
  try {
    await boss.send(queues[kind], null);
  } finally {
    await boss.stop({ graceful: false });
  }
}
