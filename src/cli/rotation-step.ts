import { inTransaction } from '../shared/database/transaction.ts';
import { CodedError } from '../shared/errors.ts';
import { requireOrder } from '../shared/orders/require-order.ts';
import { recordOrder } from '../shared/orders/used-orders.ts';
import { openRotation, type RotationStep, rotationSubject, stepRotation } from '../shared/rotation/rotation-rows.ts';
import type { Command } from './command.ts';
import { withDriverDatabase } from './driver-database.ts';
import { orderOption } from './order-option.ts';

/**
 * A command that takes the open rotation one step further. To stop one (pause, abort) needs nobody’s leave: rows stay as
 * they are, and both keys in use.
 */
export function stepCommand(step: Exclude<RotationStep, 'destroyed'>, summary: string, done: string): Command {
  const ordered = step === 'resume';
  return {
    name: `rotate ${step}`,
    summary,
    example: `hsm-driver rotate ${step} --config node-1.yaml`,
    options: ordered ? [orderOption('rotation')] : [],
    run: ({ config, text }) =>
      withDriverDatabase(config, `rotate ${step}`, async (pool, configuration) => {
        const rotation = await openRotation(pool);
        if (rotation === undefined) throw new CodedError('ROTATION_REFUSED', 'no rotation is running or paused');
        const about = { kind: 'rotation', subject: `${step} ${rotationSubject(rotation)}` } as const;
        const order = ordered ? requireOrder(configuration, about, text.get('order')) : undefined;
        await inTransaction(pool, async (client) => {
          if (order !== undefined) await recordOrder(client, order, { node: configuration.node });
          if (await stepRotation(client, rotation.id, step)) return;
          throw new CodedError('ROTATION_REFUSED', `it is ${rotation.state}`);
        });
        process.stdout.write(`${rotationSubject(rotation)}: ${done}\n`);
      }),
  };
}
