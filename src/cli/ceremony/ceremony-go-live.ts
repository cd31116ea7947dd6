import { goLive } from '../../ceremony/go-live.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { takeStep, yesOption } from './ceremony-step.ts';

/** `hsm-driver ceremony go-live`: nodes may work with the keys; refused until every token passed its check. */
export const command: Command = {
  name: 'ceremony go-live',
  summary: 'let nodes work with the keys; refused until every token passed its check',
  example: 'hsm-driver ceremony go-live --config ceremony.yaml',
  options: [
    {
      name: 'rehearsal',
      summary: 'go live though steps were unattended; protocol, logs and status say so',
      required: false,
      kind: 'switch',
    },
    yesOption,
    orderOption('ceremony'),
  ],
  run: (input) =>
    takeStep(input, (configuration, people) => goLive(configuration, people, input.switches.has('rehearsal')), {
      subject: 'go-live',
      approvesProtocol: true,
    }),
};
