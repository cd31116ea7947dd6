import { addToken } from '../ceremony/add-token.ts';
import { takeStep, yesOption } from './ceremony-step.ts';
import type { Command } from './command.ts';

/** `hsm-driver ceremony add-token`: one more signing token, filled from the backup token. */
export const command: Command = {
  name: 'ceremony add-token',
  summary: 'fill one more signing token from the backup token; it may work once it was checked',
  example: 'hsm-driver ceremony add-token --config ceremony.yaml --token hsm-3',
  options: [
    { name: 'token', summary: 'name of the token in the configuration', required: true, kind: 'text' },
    yesOption,
  ],
  run: (input) =>
    takeStep(input, (configuration, people) => addToken(configuration, input.text.get('token') ?? '', people)),
};
