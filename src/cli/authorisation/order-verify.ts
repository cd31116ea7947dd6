import { z } from 'zod';
import { apiConfiguration } from '../../shared/configuration/api.ts';
import { ceremonyConfiguration } from '../../shared/configuration/ceremony.ts';
import { driverConfiguration } from '../../shared/configuration/driver.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import { CodedError } from '../../shared/errors.ts';
import { readOperators } from '../../shared/orders/operators.ts';
import { readOrderFile } from '../../shared/orders/order-file.ts';
import { verifyOrder } from '../../shared/orders/verify-order.ts';
import type { Command } from '../command.ts';
import { orderLines } from './order-text.ts';

const anyConfiguration = z.discriminatedUnion('kind', [driverConfiguration, apiConfiguration, ceremonyConfiguration]);

/** `hsm-driver order verify`: would it be obeyed now, by what this configuration configures? Uses nothing up. */
export const command: Command = {
  name: 'order verify',
  summary: 'check an order’s signatures and time against the operators of a configuration',
  example: 'hsm-driver order verify --config node-1.yaml --order order.json',
  options: [{ name: 'order', summary: 'the order’s file', required: true, kind: 'text' }],
  async run({ config, text }) {
    const configuration = loadConfiguration(config, anyConfiguration);
    if (configuration.operators === undefined) throw new CodedError('ORDER_NOT_CHECKED', config);
    const signed = readOrderFile(text.get('order') ?? '');
    const { keyStore, about } = signed.order;
    verifyOrder(
      signed,
      { keyStore: ownKeyStore(configuration, keyStore), about },
      readOperators(configuration.operators),
      Date.now(),
    );
    const { threshold, keys } = configuration.operators;
    const lines = [...orderLines(signed), `good now: ${threshold} of ${keys.length} operators are needed`];
    process.stdout.write(`${lines.join('\n')}\n`);
  },
};

/** The key store that the order must be for; an API may have several. */
function ownKeyStore(configuration: z.infer<typeof anyConfiguration>, ordered: string): string {
  if (configuration.kind !== 'api') return configuration.keyStore;
  return (configuration.keyStores.find(({ id }) => id === ordered) ?? configuration.keyStores[0])?.id ?? '';
}
