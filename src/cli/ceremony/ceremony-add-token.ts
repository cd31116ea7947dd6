import { addToken } from '../../ceremony/add-token.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { takeStep, yesOption } from './ceremony-step.ts';

/** `hsm-driver ceremony add-token`: one more signing token, filled from the backup token. */
export const command: Command = {
  name: 'ceremony add-token',
  summary: 'fill one more signing token from the backup token; it may work once it was checked',
  example: 'hsm-driver ceremony add-token --config ceremony.yaml --token hsm-3',
  options: [
    { name: 'token', summary: 'name of the token in the configuration', required: true, kind: 'text' },
    yesOption,
    orderOption('ceremony'),
  ],
  run: (input) => {
    const name = input.text.get('token') ?? '';
    const ordered = { subject: `add-token ${name}`, approvesProtocol: true };
    return takeStep(input, (configuration, people) => addToken(configuration, name, people), ordered);
  },
};
