import type pg from 'pg';
import { startChild } from '../ceremony/child.ts';
import type { DriverConfiguration } from '../shared/configuration/driver.ts';
import { CodedError } from '../shared/errors.ts';
import type { DrillCalls, ProvenKey } from './calls.ts';

export interface DrillReport {
  readonly token: string;
  readonly serial: string;
  /** Master keys that the HSM proved by their canaries. */
  readonly masterKeyIds: readonly string[];
  /** Active keys in the database, and how many of them were opened and signed. */
  readonly keys: number;
  readonly proven: number;
  readonly failed: readonly ProvenKey[];
  readonly openMs: number;
  readonly proveMs: number;
}

/** Keys in one message to the process of the HSM. */
const batchKeys = 50;

/**
 * Proves restored keys with a spare HSM: one of each curve and master key, and a sample of the others, each opened and
 * made to sign, the signature verified against the stored public key.
 * @throws what opening the slot throws
 */
export async function drill(
  pool: pg.Pool,
  configuration: DriverConfiguration,
  slotName: string | undefined,
  sample: number,
  onProgress: (keys: number, of: number) => void,
): Promise<DrillReport> {
  const slot =
    slotName === undefined ? configuration.slots[0] : configuration.slots.find(({ name }) => name === slotName);
  if (slot === undefined) throw new CodedError('CONFIG_INVALID', `there is no slot ${slotName ?? ''}`);
  const began = performance.now();
  const child = startChild<DrillCalls>('../backup/drill-process', `slot ${slot.name}`, slot.environment);
  try {
    const opened = await child.ask('open', { configuration, slot: slot.name });
    const openMs = performance.now() - began;
    const { keys, chosen } = await chooseKeys(pool, sample);
    const failed: ProvenKey[] = [];
    for (let at = 0; at < chosen.length; at += batchKeys) {
      const proven = await child.ask('prove', chosen.slice(at, at + batchKeys));
      failed.push(...proven.filter(({ problem }) => problem !== ''));
      onProgress(Math.min(at + batchKeys, chosen.length), chosen.length);
    }
    const proveMs = performance.now() - began - openMs;
    return { ...opened, keys, proven: chosen.length - failed.length, failed, openMs, proveMs };
  } finally {
    await child.stop();
  }
}

async function chooseKeys(pool: pg.Pool, sample: number): Promise<{ keys: number; chosen: string[] }> {
  const counted = await pool.query<{ keys: string }>(
    "select count(*) as keys from wrapped_key where status = 'active'",
  );
  const { rows } = await pool.query<{ key_id: string }>(
    `(select distinct on (master_key_id, curve) key_id from wrapped_key where status = 'active')
     union
     (select key_id from wrapped_key where status = 'active' order by random() limit $1)`,
    [sample],
  );
  return { keys: Number(counted.rows[0]?.keys), chosen: rows.map(({ key_id }) => key_id) };
}
