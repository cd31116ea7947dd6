import { mergeReceipt } from '../../ceremony/by-file/merge-receipt.ts';
import type { Command } from '../command.ts';
import { takeStep, yesOption } from './ceremony-step.ts';
import { exchangeOf, exchangeOptions } from './exchange-options.ts';

/** `hsm-driver ceremony merge`: what another machine's token received becomes part of the protocol. */
export const command: Command = {
  name: 'ceremony merge',
  summary: 'enter in the protocol file what a token on another machine has received',
  example: 'hsm-driver ceremony merge --config ceremony.yaml --token hsm-3 --folder /media/stick',
  options: [...exchangeOptions, yesOption],
  run: (input) => takeStep(input, (configuration, people) => mergeReceipt(configuration, exchangeOf(input), people)),
};
