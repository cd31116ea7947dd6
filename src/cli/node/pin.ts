import { z } from 'zod';
import { ceremonyConfiguration } from '../../shared/configuration/ceremony.ts';
import { driverConfiguration } from '../../shared/configuration/driver.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { clearPin, type PinPlace } from './clear-pin.ts';

/**
 * `hsm-driver pin clear`: an operator who knows why a PIN was refused allows one more try. No PIN is read here, and no
 * token is asked. A token that would lock at the next wrong PIN is not tried even so.
 */
export const command: Command = {
  name: 'pin clear',
  summary: 'allow one more try of a PIN after it was refused, by a node or in a ceremony',
  example: 'hsm-driver pin clear --config node-1.yaml --slot hsm-1 --yes',
  options: [
    { name: 'slot', summary: 'name of the slot, or of the ceremony’s token', required: true, kind: 'text' },
    {
      name: 'yes',
      summary: 'do it; without it the command only shows what it would clear',
      required: false,
      kind: 'switch',
    },
    orderOption('pin-clear'),
  ],
  run: ({ config, text, switches }) =>
    clearPin(
      placeOf(config),
      { slotName: text.get('slot') ?? '', yes: switches.has('yes'), orderFile: text.get('order') },
      (line) => process.stdout.write(`${line}\n`),
    ),
};

/** @throws CONFIG_* */
function placeOf(config: string): PinPlace {
  const either = z.discriminatedUnion('kind', [driverConfiguration, ceremonyConfiguration]);
  const configuration = loadConfiguration(config, either);
  switch (configuration.kind) {
    case 'driver':
      return configuration;
    case 'ceremony': {
      const { backup, rotation, tokens } = configuration;
      const slots = [...[backup, rotation].filter((one) => one !== undefined), ...tokens];
      return { ...configuration, node: 'ceremony', slots };
    }
    default:
      return configuration satisfies never;
  }
}
