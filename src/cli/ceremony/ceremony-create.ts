import { createKeyStore } from '../../ceremony/create.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { takeStep, yesOption } from './ceremony-step.ts';

/** `hsm-driver ceremony create`: new keys on the backup token and the signing tokens, and the protocol file. */
export const command: Command = {
  name: 'ceremony create',
  summary: 'make a key store’s keys on its backup token, fill the signing tokens, write the protocol file',
  example: 'hsm-driver ceremony create --config ceremony.yaml',
  options: [yesOption, orderOption('ceremony')],
  run: (input) => takeStep(input, createKeyStore, { subject: 'create', approvesProtocol: false }),
};
