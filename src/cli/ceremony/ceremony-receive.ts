import { receiveByFile } from '../../ceremony/by-file/receive-by-file.ts';
import type { Command } from '../command.ts';
import { takeStep, yesOption } from './ceremony-step.ts';
import { exchangeOf, exchangeOptions } from './exchange-options.ts';

/** `hsm-driver ceremony receive`: on the machine of a token that the backup token's machine does not reach. */
export const command: Command = {
  name: 'ceremony receive',
  summary:
    'on a token’s own machine: make its transport key, wait for the keys from the backup token’s machine, take them',
  example: 'hsm-driver ceremony receive --config hsm-3.yaml --token hsm-3 --folder /media/stick',
  options: [...exchangeOptions, yesOption],
  run: (input) => takeStep(input, (configuration, people) => receiveByFile(configuration, exchangeOf(input), people)),
};
