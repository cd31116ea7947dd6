import { readOrderFile } from '../../shared/orders/order-file.ts';
import type { Command } from '../command.ts';
import { orderLines } from './order-text.ts';

/** `hsm-driver order show`: checks nothing. The file itself is JSON. */
export const command: Command = {
  name: 'order show',
  summary: 'show what an order says and who signed it, without checking anything',
  config: 'not needed',
  example: 'hsm-driver order show --order order.json',
  options: [{ name: 'order', summary: 'the order’s file', required: true, kind: 'text' }],
  run: async ({ text }) =>
    void process.stdout.write(`${orderLines(readOrderFile(text.get('order') ?? '')).join('\n')}\n`),
};
