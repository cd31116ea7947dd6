import { utimesSync } from 'node:fs';
import { type DriverConfiguration, driverConfiguration } from '../../shared/configuration/driver.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import type { SlotConfiguration } from '../../shared/configuration/sections.ts';
import { isUnreachable, unreachable } from '../../shared/database/faults.ts';
import { checkSchema } from '../../shared/database/migrate.ts';
import { createPool } from '../../shared/database/pool.ts';
import { driverSchema } from '../../shared/database/schema/driver.ts';
import { CodedError } from '../../shared/errors.ts';
import { createLog } from '../../shared/log.ts';
import { type ClearOrder, clearAttempts, readRefusals } from '../../worker/pin-guard/clear-attempts.ts';
import { type LocalResults, openLocalResults } from '../../worker/pin-guard/local-results.ts';
import { carryOut } from '../authorisation/carry-out.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';

/**
 * `hsm-driver pin clear`: an operator who knows why a PIN was refused allows one more try. No PIN is read here, and no
 * token is asked. A token that would lock at the next wrong PIN is not tried even so.
 */
export const command: Command = {
  name: 'pin clear',
  summary: 'allow one more try of a slot’s PIN after it was refused',
  example: 'hsm-driver pin clear --config node-1.yaml --slot hsm-1 --yes',
  options: [
    { name: 'slot', summary: 'name of the slot in the configuration', required: true, kind: 'text' },
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
      loadConfiguration(config, driverConfiguration),
      { slotName: text.get('slot') ?? '', yes: switches.has('yes'), orderFile: text.get('order') },
      (line) => process.stdout.write(`${line}\n`),
    ),
};

interface Asked {
  readonly slotName: string;
  readonly yes: boolean;
  readonly orderFile: string | undefined;
}

/** @throws CONFIG_INVALID for an unknown slot, or one whose token was never seen; DATABASE_UNREACHABLE, SCHEMA_…, ORDER_… */
export async function clearPin(
  configuration: DriverConfiguration,
  { slotName, yes, orderFile }: Asked,
  say: (line: string) => void,
): Promise<void> {
  const { database, stateDirectory, node } = configuration;
  const slot = configuration.slots.find((one) => one.name === slotName);
  if (slot === undefined) throw new CodedError('CONFIG_INVALID', `there is no slot ${JSON.stringify(slotName)}`);
  const local = openLocalResults(stateDirectory);
  const cleared = { ...groupOf(slot, local), node, slot: slot.name };
  const log = createLog(configuration.log.level, { process: 'pin clear' });
  const pool = createPool(database, { applicationName: 'hsm-driver pin clear', max: 1, durability: 'durable' }, log);
  try {
    await checkSchema(pool, database, driverSchema);
    for (const { tokenLabel, tokenSerial, where, reason, state } of await readRefusals(pool, cleared.guardGroup)) {
      say(`token “${tokenLabel}” (${tokenSerial}): ${state} by ${where}${reason === '' ? '' : `, ${reason}`}`);
    }
    if (!yes) return say('nothing was changed; add --yes to allow one more try');
    const about = { kind: 'pin-clear', subject: `${node}/${slot.name}` } as const;
    const events = [{ kind: 'pin-cleared', guardGroup: cleared.guardGroup, node, slot: slot.name }] as const;
    await carryOut(pool, { configuration, command: 'pin clear', about, orderFile, events }, (client) =>
      clearAttempts(client, cleared),
    );
    local.forgetRefusals(cleared.guardGroup);
  } catch (error) {
    throw isUnreachable(error) ? unreachable(database, error) : error;
  } finally {
    await pool.end();
  }
  say(`one more try is allowed on everything that shares the PIN counter ${cleared.guardGroup}`);
  wakeNode(slot);
  say('slots that have latched try by themselves within two seconds, on every node');
}

/** Primaries read the order from the database. One of version 0.1 only watches the PIN file, so that is touched as well. */
function wakeNode({ pinFile }: SlotConfiguration): void {
  try {
    const now = new Date();
    utimesSync(pinFile, now, now);
  } catch {
    // Not ours to touch.
  }
}

function groupOf(slot: SlotConfiguration, local: LocalResults): Omit<ClearOrder, 'node' | 'slot'> {
  const seen = local.slot(slot.name);
  const tokenSerial = slot.tokenSerial ?? seen?.tokenSerial;
  const guardGroup = slot.pinGuardGroup ?? tokenSerial ?? seen?.guardGroup;
  if (guardGroup === undefined) {
    const cure = 'run this on the node that saw it, or set slots[].tokenSerial';
    throw new CodedError('CONFIG_INVALID', `the token of slot ${slot.name} was never seen by this node: ${cure}`);
  }
  return { guardGroup, tokenSerial: tokenSerial ?? '', tokenLabel: slot.tokenLabel };
}
