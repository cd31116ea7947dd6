import { performCeremony } from '../../ceremony/perform-ceremony.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { takeStep, yesOption } from './ceremony-step.ts';

/** `hsm-driver ceremony`: create, check and go-live in one go. */
export const command: Command = {
  name: 'ceremony',
  summary: 'the whole ceremony in one go: create, check, go-live; with --yes a rehearsal',
  example: 'hsm-driver ceremony --config ceremony.yaml --yes',
  options: [yesOption],
  run: (input) =>
    takeStep(input, async (configuration, people) => {
      if (configuration.operators === undefined) return await performCeremony(configuration, people);
      throw new CodedError(
        'CEREMONY_REFUSED',
        'operators are configured: take the steps one by one, each with its order',
      );
    }),
};
