import { twoPeople } from '../../ceremony/attended.ts';
import { nobody, type People } from '../../ceremony/people.ts';
import { readProtocol } from '../../ceremony/protocol-file.ts';
import { type CeremonyConfiguration, ceremonyConfiguration } from '../../shared/configuration/ceremony.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import { requireOrder } from '../../shared/orders/require-order.ts';
import { recordOrderInDirectory } from '../../shared/orders/used-orders.ts';
import type { CommandInput, CommandOption } from '../command.ts';
import { openTerminal } from '../terminal.ts';

export const yesOption: CommandOption = {
  name: 'yes',
  summary: 'ask nobody: for rehearsals and scripts; the protocol says so',
  required: false,
  kind: 'switch',
};

/** What the operators order, where any are configured (kind `ceremony`). */
export interface OrderedStep {
  readonly subject: string;
  /** The order approves the protocol file as it is now: it fits this step of this ceremony and no other. */
  readonly approvesProtocol: boolean;
}

/**
 * One step of a ceremony with the people who are there: two at the terminal, or nobody with --yes.
 * @param ordered left out for steps that change no key store.
 * @throws ORDER_…; what the step throws
 */
export async function takeStep(
  { config, switches, text }: CommandInput,
  step: (configuration: CeremonyConfiguration, people: People) => Promise<unknown>,
  ordered?: OrderedStep,
): Promise<void> {
  const configuration = loadConfiguration(config, ceremonyConfiguration);
  if (ordered !== undefined) useOrder(configuration, ordered, text.get('order'));
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

/** It is used up before the step begins: whether a step that failed had an effect may never be known. */
function useOrder(
  configuration: CeremonyConfiguration,
  { subject, approvesProtocol }: OrderedStep,
  orderFile: string | undefined,
): void {
  if (configuration.operators === undefined && orderFile === undefined) return;
  const document = approvesProtocol ? { documentSha256: readProtocol(configuration.ceremonyFile).sha256 } : {};
  const order = requireOrder(configuration, { kind: 'ceremony', subject, ...document }, orderFile);
  if (order !== undefined) recordOrderInDirectory(configuration.stateDirectory, order);
}
