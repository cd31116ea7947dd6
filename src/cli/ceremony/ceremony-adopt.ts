import { adoptKeys } from '../../ceremony/adopt.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { takeStep, yesOption } from './ceremony-step.ts';

/** `hsm-driver ceremony adopt`: keys that a vendor's tools made and cloned; verified, never moved. */
export const command: Command = {
  name: 'ceremony adopt',
  summary: 'take keys that the vendor’s tools made and cloned: verify every token, write the protocol file',
  example: 'hsm-driver ceremony adopt --config ceremony.yaml',
  options: [yesOption, orderOption('ceremony')],
  run: (input) => takeStep(input, adoptKeys, { subject: 'adopt', approvesProtocol: false }),
};
