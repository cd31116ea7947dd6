import type { CheckedKey, KeysToCheck } from '../../shared/hsm-work.ts';
import type { HsmFailure } from '../hsm/jobs.ts';
import { selectKeysByKeyId } from '../key-rows.ts';
import type { WrappedKey } from '../wrapped-key.ts';
import type { Bench } from './bench.ts';

/** Attributes are what a token does, not what a key is: each tenth key tells enough, and costs five calls more. */
const attributeShare = 0.1;

/**
 * Checks stored keys as signing would use them: the tag, the unwrap, and a signature over random bytes that must verify
 * against the stored public key; of some keys also the attributes that the token gave them. The rows are read from the
 * database, never from the worker's memory.
 * @param random a test's own; from 0 to 1, as Math.random.
 */
export async function checkKeys(
  bench: Bench,
  { keyIds, inFull = [] }: KeysToCheck,
  signal: AbortSignal,
  random: () => number = Math.random,
): Promise<CheckedKey[]> {
  const keys = await read(bench, keyIds);
  const full = new Set(inFull);
  const checked: CheckedKey[] = [];
  for (const keyId of keyIds) {
    const attributes = full.has(keyId) || random() < attributeShare;
    checked.push(await checkTwice(bench, keyId, keys.get(keyId), attributes, signal));
  }
  return checked;
}

async function read({ database }: Bench, keyIds: readonly string[]): Promise<Map<string, WrappedKey>> {
  const rows = await selectKeysByKeyId(database, keyIds);
  return new Map(rows.map(({ key }) => [key.keyId, key]));
}

/**
 * Bad data is told only after the row was read again: it may have changed between the two reads, or on its way. Both times
 * the same is looked at: a second look that leaves out the attributes would say of bad ones that the key holds.
 */
async function checkTwice(
  bench: Bench,
  keyId: string,
  key: WrappedKey | undefined,
  attributes: boolean,
  signal: AbortSignal,
): Promise<CheckedKey> {
  if (key === undefined) return { keyId, verdict: 'missing' };
  const first = await bench.pace.step(() => check(bench, key, attributes), signal);
  if (first.verdict === 'holds' || first.verdict === 'unchecked') return first;
  const again = (await read(bench, [keyId])).get(keyId);
  if (again === undefined) return { keyId, verdict: 'missing' };
  return await bench.pace.step(() => check(bench, again, attributes), signal);
}

async function check({ hsm, device, state }: Bench, key: WrappedKey, attributes: boolean): Promise<CheckedKey> {
  const { keyId } = key;
  // A suspect device is for its probe alone.
  if (state.now === 'suspect') return { keyId, verdict: 'unchecked', problem: 'the slot is suspect' };
  const unchecked = async (failure: HsmFailure): Promise<CheckedKey> => {
    await device.judge(failure);
    return { keyId, verdict: 'unchecked', problem: `${failure.code}: ${failure.message}` };
  };
  const [tag] = await hsm.checkTags([key]);
  if (tag === undefined) throw new Error('the HSM layer answers every tag');
  if (!tag.ok) return await unchecked(tag);
  if (!tag.value) return { keyId, verdict: 'tag', problem: 'the row was changed: its integrity tag does not hold' };

  const [answer] = await hsm.inspect([{ row: key, attributes }]);
  if (answer === undefined) throw new Error('the HSM layer answers every key');
  if (answer.ok && answer.value.length === 0) return { keyId, verdict: 'holds' };
  if (answer.ok)
    return { keyId, verdict: 'attributes', problem: `the token opened it with ${answer.value.join(', ')}` };
  const ofTheKey = answer.code === 'KEY_UNUSABLE' || answer.code === 'SIGNATURE_INVALID';
  if (answer.device !== 'healthy' || !ofTheKey) return await unchecked(answer);
  return { keyId, verdict: 'unusable', problem: `${answer.code}: ${answer.message}` };
}
