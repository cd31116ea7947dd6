import { performCeremony } from '../ceremony/perform-ceremony.ts';
import { takeStep, yesOption } from './ceremony-step.ts';
import type { Command } from './command.ts';

/** `hsm-driver ceremony`: create, check and go-live in one go. */
export const command: Command = {
  name: 'ceremony',
  summary: 'the whole ceremony in one go: create, check, go-live; with --yes a rehearsal',
  example: 'hsm-driver ceremony --config ceremony.yaml --yes',
  options: [yesOption],
  run: (input) => takeStep(input, performCeremony),
};
