import { performCeremony } from '../ceremony/perform-ceremony.ts';
import { ceremonyConfiguration } from '../shared/configuration/ceremony.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import type { Command } from './command.ts';

/** `hsm-driver ceremony`: makes a key store's keys on all its tokens and writes the protocol file. */
export async function runCeremony(
  configFile: string,
  say: (line: string) => void = (line) => process.stdout.write(`${line}\n`),
): Promise<void> {
  await performCeremony(loadConfiguration(configFile, ceremonyConfiguration), say);
}

export const command: Command = {
  name: 'ceremony',
  summary: 'make a key store’s keys on all its tokens and write the protocol file',
  example: 'hsm-driver ceremony --config ceremony.yaml',
  options: [],
  run: ({ config }) => runCeremony(config),
};
