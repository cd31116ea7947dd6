import { deliverByFile } from '../../ceremony/by-file/deliver-by-file.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { takeStep, yesOption } from './ceremony-step.ts';
import { exchangeOf, exchangeOptions } from './exchange-options.ts';

/** `hsm-driver ceremony deliver`: on the machine of the backup token, for a token on another one. */
export const command: Command = {
  name: 'ceremony deliver',
  summary: 'on the backup token’s machine: wrap the keys for a token on another machine',
  example: 'hsm-driver ceremony deliver --config ceremony.yaml --token hsm-3 --folder /media/stick',
  options: [...exchangeOptions, yesOption, orderOption('ceremony')],
  run: (input) => {
    const exchange = exchangeOf(input);
    const ordered = { subject: `deliver ${exchange.token}`, approvesProtocol: true };
    return takeStep(input, (configuration, people) => deliverByFile(configuration, exchange, people), ordered);
  },
};
