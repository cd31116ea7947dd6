import { z } from 'zod';
import { CodedError } from '../../shared/errors.ts';
import { aboutThaw, insertThaw } from '../../shared/freezes/freeze.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { carryOut } from './carry-out.ts';
import { orderOption } from './order-option.ts';

/** `hsm-driver thaw`: the order goes into the database, and every node checks it before it signs again. */
export const command: Command = {
  name: 'thaw',
  summary: 'end a freeze, by an order of the operators where they are configured',
  example: 'hsm-driver thaw --config node-1.yaml --freeze 6f2d5a0e-93b1-4c1f-9d52-9d1f0e3c7a11 --order thaw.json',
  options: [
    { name: 'freeze', summary: 'id of the freeze, as freeze list shows it', required: true, kind: 'text' },
    orderOption('thaw'),
  ],
  async run({ config, text }) {
    const freeze = text.get('freeze') ?? '';
    if (!z.uuid().safeParse(freeze).success) throw new CodedError('OPTION_INVALID', '--freeze is not an id');
    await withDriverDatabase(config, 'thaw', async (pool, configuration) => {
      const errand = {
        configuration,
        command: 'thaw',
        about: aboutThaw(freeze),
        orderFile: text.get('order'),
        events: [{ kind: 'thawed', freeze }],
      } as const;
      await carryOut(pool, errand, (client, order) => insertThaw(client, freeze, { order, node: configuration.node }));
      process.stdout.write(`Thawed: ${freeze}. Every node that runs signs again within a second.\n`);
    });
  },
};
