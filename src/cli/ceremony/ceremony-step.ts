import { twoPeople } from '../../ceremony/attended.ts';
import { nobody, type People } from '../../ceremony/people.ts';
import { readProtocol } from '../../ceremony/protocol-file.ts';
import { type CeremonyConfiguration, ceremonyConfiguration } from '../../shared/configuration/ceremony.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import type { SignedOrder } from '../../shared/orders/order.ts';
import { auditedOrder } from '../../shared/orders/order-audit.ts';
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
  const order = ordered && useOrder(configuration, ordered, text.get('order'));
  const ask = (people: People) =>
    step(configuration, order === undefined ? people : { ...people, order: orderRecord(order) });
  if (switches.has('yes')) {
    await ask(nobody((line) => void process.stdout.write(`${line}\n`)));
    return;
  }
  const terminal = openTerminal();
  try {
    await ask(await twoPeople(terminal));
  } finally {
    terminal.close();
  }
}

/** It is used up before the step begins: whether a step that failed had an effect may never be known. */
function useOrder(
  configuration: CeremonyConfiguration,
  { subject, approvesProtocol }: OrderedStep,
  orderFile: string | undefined,
): SignedOrder | undefined {
  if (configuration.operators === undefined && orderFile === undefined) return undefined;
  const document = approvesProtocol ? { documentSha256: readProtocol(configuration.ceremonyFile).sha256 } : {};
  const order = requireOrder(configuration, { kind: 'ceremony', subject, ...document }, orderFile);
  if (order !== undefined) recordOrderInDirectory(configuration.stateDirectory, order);
  return order;
}

/** A ceremony may have no database: the protocol, whose steps are chained by its own hashes, tells of the order. */
function orderRecord(signed: SignedOrder): string {
  const { orderId, action, operators, order } = auditedOrder(signed);
  return `order ${orderId} (${action}), signed by ${operators.join(', ')}; SHA-256 of what they signed, base64url: ${order}`;
}
