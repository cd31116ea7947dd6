import { utimesSync } from 'node:fs';
import type { CeremonyConfiguration } from '../../shared/configuration/ceremony.ts';
import type { DatabaseConfiguration, TokenConfiguration } from '../../shared/configuration/sections.ts';
import { isUnreachable, unreachable } from '../../shared/database/faults.ts';
import { checkSchema } from '../../shared/database/migrate.ts';
import { createPool } from '../../shared/database/pool.ts';
import { driverSchema } from '../../shared/database/schema/driver.ts';
import { CodedError } from '../../shared/errors.ts';
import { createLog } from '../../shared/log.ts';
import { type OrderedBy, requireOrder } from '../../shared/orders/require-order.ts';
import { recordOrderInDirectory } from '../../shared/orders/used-orders.ts';
import { type ClearOrder, clearAttempts, readRefusals } from '../../worker/pin-guard/clear-attempts.ts';
import { type LocalResults, openLocalResults } from '../../worker/pin-guard/local-results.ts';
import { carryOut } from '../authorisation/carry-out.ts';

/** Where a PIN was refused: a node, or the machine of a ceremony. */
export interface PinPlace extends OrderedBy {
  readonly node: string;
  readonly slots: readonly TokenConfiguration[];
  readonly stateDirectory: string;
  /** The cluster’s record. Without it, what this machine wrote down is all there is. */
  readonly database?: DatabaseConfiguration | undefined;
  readonly log: CeremonyConfiguration['log'];
}

export interface PinAsked {
  readonly slotName: string;
  readonly yes: boolean;
  readonly orderFile: string | undefined;
}

/** @throws CONFIG_INVALID for an unknown slot, or one whose token was never seen; DATABASE_UNREACHABLE, SCHEMA_…, ORDER_… */
export async function clearPin(place: PinPlace, asked: PinAsked, say: (line: string) => void): Promise<void> {
  const { slotName, yes } = asked;
  const slot = place.slots.find((one) => one.name === slotName);
  if (slot === undefined) throw new CodedError('CONFIG_INVALID', `there is no slot ${JSON.stringify(slotName)}`);
  const local = openLocalResults(place.stateDirectory);
  const cleared = { ...groupOf(slot, local), node: place.node, slot: slot.name };
  for (const { tokenLabel, tokenSerial, slot: where, at } of local.refusals(cleared.guardGroup)) {
    say(`token “${tokenLabel}” (${tokenSerial}): refused at slot ${where}, ${at}, as this machine wrote down`);
  }
  const { database } = place;
  if (database === undefined) {
    if (yes) clearHere(place, cleared, asked, local);
  } else await clearEverywhere({ ...place, database }, cleared, asked, local, say);
  if (!yes) return say('nothing was changed; add --yes to allow one more try');
  say(`one more try is allowed on everything that shares the PIN counter ${cleared.guardGroup}`);
  if (database === undefined)
    return say('nodes and other machines do not know of it: the configuration names no database');
  wakeNode(slot);
  say('slots that have latched try by themselves within two seconds, on every node');
}

/** The order is used up first: then the record of this machine is changed. */
function clearHere(place: PinPlace, cleared: ClearOrder, { orderFile }: PinAsked, local: LocalResults): void {
  const order = requireOrder(place, aboutOf(cleared), orderFile);
  if (order !== undefined) recordOrderInDirectory(place.stateDirectory, order);
  local.allowOnce(cleared.guardGroup);
  local.forgetRefusals(cleared.guardGroup);
}

async function clearEverywhere(
  place: PinPlace & { readonly database: DatabaseConfiguration },
  cleared: ClearOrder,
  { yes, orderFile }: PinAsked,
  local: LocalResults,
  say: (line: string) => void,
): Promise<void> {
  const { database } = place;
  const { guardGroup, node, slot } = cleared;
  const log = createLog(place.log.level, { process: 'pin clear' });
  const pool = createPool(database, { applicationName: 'hsm-driver pin clear', max: 1, durability: 'durable' }, log);
  try {
    await checkSchema(pool, database, driverSchema);
    for (const { tokenLabel, tokenSerial, where, reason, state } of await readRefusals(pool, guardGroup)) {
      say(`token “${tokenLabel}” (${tokenSerial}): ${state} by ${where}${reason === '' ? '' : `, ${reason}`}`);
    }
    if (!yes) return;
    const events = [{ kind: 'pin-cleared', guardGroup, node, slot }] as const;
    const errand = { configuration: place, command: 'pin clear', about: aboutOf(cleared), orderFile, events };
    await carryOut(pool, errand, (client) => clearAttempts(client, cleared));
    local.forgetRefusals(guardGroup);
  } catch (error) {
    throw isUnreachable(error) ? unreachable(database, error) : error;
  } finally {
    await pool.end();
  }
}

function aboutOf({ node, slot }: ClearOrder) {
  return { kind: 'pin-clear', subject: `${node}/${slot}` } as const;
}

/** Primaries read the order from the database. One of version 0.1 only watches the PIN file, so that is touched as well. */
function wakeNode({ pinFile }: TokenConfiguration): void {
  try {
    const now = new Date();
    utimesSync(pinFile, now, now);
  } catch {
    // Not ours to touch.
  }
}

function groupOf(slot: TokenConfiguration, local: LocalResults): Omit<ClearOrder, 'node' | 'slot'> {
  const seen = local.slot(slot.name);
  const tokenSerial = slot.tokenSerial ?? seen?.tokenSerial;
  const guardGroup = slot.pinGuardGroup ?? tokenSerial ?? seen?.guardGroup;
  if (guardGroup === undefined) {
    const cure = 'run this on the machine that saw it, or set tokenSerial';
    throw new CodedError('CONFIG_INVALID', `the token of slot ${slot.name} was never seen here: ${cure}`);
  }
  return { guardGroup, tokenSerial: tokenSerial ?? '', tokenLabel: slot.tokenLabel };
}
