import { twoPeople } from '../ceremony/attended.ts';
import { nobody, type People } from '../ceremony/people.ts';
import { type CeremonyConfiguration, ceremonyConfiguration } from '../shared/configuration/ceremony.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import type { CommandInput, CommandOption } from './command.ts';
import { openTerminal } from './terminal.ts';

export const yesOption: CommandOption = {
  name: 'yes',
  summary: 'ask nobody: for rehearsals and scripts; the protocol says so',
  required: false,
  kind: 'switch',
};

/** One step of a ceremony with the people who are there: two at the terminal, or nobody with --yes. */
export async function takeStep(
  { config, switches }: CommandInput,
  step: (configuration: CeremonyConfiguration, people: People) => Promise<unknown>,
): Promise<void> {
  const configuration = loadConfiguration(config, ceremonyConfiguration);
  if (switches.has('yes')) {
    await step(
      configuration,
      nobody((line) => void process.stdout.write(`${line}\n`)),
    );
    return;
  }
  const terminal = openTerminal();
  try {
    await step(configuration, await twoPeople(terminal));
  } finally {
    terminal.close();
  }
}
