import { readOrderFile, writeOrderFile } from '../../shared/orders/order-file.ts';
import { readOperatorPrivateKey, signOrder } from '../../shared/orders/sign-order.ts';
import type { Command } from '../command.ts';
import { orderLines } from './order-text.ts';

/** `hsm-driver order sign`: for an operator’s own machine; it needs no configuration and no network. */
export const command: Command = {
  name: 'order sign',
  summary: 'show an order and, with --yes, add an operator’s signature to the file',
  config: 'not needed',
  example: 'hsm-driver order sign --order order.json --operator alice --private-key alice.pem --yes',
  options: [
    { name: 'order', summary: 'the order’s file', required: true, kind: 'text' },
    { name: 'operator', summary: 'the operator’s name in the configurations', required: true, kind: 'text' },
    {
      name: 'private-key',
      summary: 'secret file in PEM with the operator’s private key, Ed25519 or P-256',
      required: true,
      kind: 'text',
    },
    { name: 'yes', summary: 'sign it; without it the order is only shown', required: false, kind: 'switch' },
  ],
  async run({ text, switches }) {
    const file = text.get('order') ?? '';
    const order = readOrderFile(file);
    const yes = switches.has('yes');
    const shown = yes
      ? signOrder(order, text.get('operator') ?? '', readOperatorPrivateKey(text.get('private-key') ?? ''))
      : order;
    if (yes) writeOrderFile(file, shown, 'w');
    const lines = [...orderLines(shown), ...(yes ? [] : ['nothing was signed; add --yes to sign it'])];
    process.stdout.write(`${lines.join('\n')}\n`);
  },
};
