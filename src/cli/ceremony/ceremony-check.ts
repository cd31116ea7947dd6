import { checkTokens } from '../../ceremony/check.ts';
import type { Command } from '../command.ts';
import { takeStep, yesOption } from './ceremony-step.ts';

/** `hsm-driver ceremony check`: every token proves what the protocol file says of it. */
export const command: Command = {
  name: 'ceremony check',
  summary: 'check tokens against the protocol file, and record that they passed',
  example: 'hsm-driver ceremony check --config ceremony.yaml',
  options: [
    { name: 'token', summary: 'only this token of the configuration', required: false, kind: 'text' },
    yesOption,
  ],
  run: (input) =>
    takeStep(input, (configuration, people) => checkTokens(configuration, people, input.text.get('token'))),
};
