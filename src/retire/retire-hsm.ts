import type pg from 'pg';
import { startChild } from '../ceremony/child.ts';
import { bothKeys } from '../ceremony/keys.ts';
import { readNodes } from '../primary/cluster/nodes.ts';
import type { DriverConfiguration } from '../shared/configuration/driver.ts';
import { CodedError } from '../shared/errors.ts';
import { type KeyRing, masterKeysOf } from '../shared/key-ring.ts';
import { readKeyRing } from '../shared/key-ring-files.ts';
import type { CeremonyKey } from '../worker/hsm/delivery/keys.ts';
import type { RetireCalls } from './calls.ts';
import { whyNotRetire } from './may-retire.ts';

export interface RetireOrder {
  readonly slot: string;
  /** As the operator reads it on the device: nothing else is touched. */
  readonly serial: string;
  readonly others: number;
}

export interface FoundHsm {
  readonly label: string;
  /** Whose objects are looked for on it. */
  readonly masterKeyIds: readonly string[];
  readonly objects: number;
}

export interface Retired extends FoundHsm {
  readonly destroyed: number;
}

/**
 * Destroys the key store's keys on one HSM, when nothing needs it any more. Everything is looked at before anything is
 * destroyed; then `commit` decides, and whatever must be on disk first is there when it answers.
 * @throws RETIRE_REFUSED, PIN_REFUSED, TOKEN_…, CONFIG_INVALID, and what `commit` throws
 */
export async function retireHsm(
  pool: pg.Pool,
  configuration: DriverConfiguration,
  { slot: slotName, serial, others }: RetireOrder,
  commit: (found: FoundHsm) => Promise<boolean>,
): Promise<FoundHsm | Retired> {
  const slot = configuration.slots.find(({ name }) => name === slotName);
  if (slot === undefined) throw new CodedError('CONFIG_INVALID', `there is no slot ${slotName}`);
  const ring = readKeyRing(configuration);
  const nodes = await readNodes(pool);
  const problems = whyNotRetire({ serial, others, nodes, keysInUse: await keysInUse(pool, ring) });
  if (problems.length > 0) throw new CodedError('RETIRE_REFUSED', problems.join('; '));
  const keys = keysOf(ring);
  const child = startChild<RetireCalls>('../retire/token-process', `slot ${slot.name}`, slot.environment);
  try {
    const { stateDirectory, database, node } = configuration;
    const token = await child.ask('open', { slot, record: { stateDirectory, database, node } });
    if (token.serial !== serial)
      throw new CodedError('RETIRE_REFUSED', `slot ${slot.name} is the HSM with serial ${token.serial}, not ${serial}`);
    const found: FoundHsm = {
      label: token.label,
      masterKeyIds: masterKeysOf(ring).map(({ masterKey }) => masterKey.id),
      objects: await child.ask('count', keys),
    };
    if (!(await commit(found))) return found;
    const { destroyed, left } = await child.ask('destroy', keys);
    if (left > 0)
      throw new CodedError('RETIRE_REFUSED', `${destroyed} objects were destroyed, ${left} are still there`);
    return { ...found, destroyed };
  } finally {
    await child.stop();
  }
}

/** What rows name, and what the next key will be made under. */
async function keysInUse(pool: pg.Pool, { current }: KeyRing): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `select distinct master_key_id as id from wrapped_key where status <> 'deleted'
     union select distinct integrity_key_id from wrapped_key`,
  );
  return [...new Set([current.masterKey.id, current.integrityKey.id, ...rows.map(({ id }) => id)])];
}

/** By CKA_ID; the same object may be named by several ceremony files. */
function keysOf({ current, further }: KeyRing): CeremonyKey[] {
  const all = [current, ...further].flatMap(bothKeys);
  return all.filter((key, at) => all.findIndex(({ ckaId }) => ckaId === key.ckaId) === at);
}
