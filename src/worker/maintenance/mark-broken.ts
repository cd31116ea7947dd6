import type { MarkedKey } from '../../shared/hsm-work.ts';
import { selectKeysByKeyId } from '../key-rows.ts';
import type { Bench } from './bench.ts';

/**
 * Only the tag is made here: the job that found the key broken changes the row, under its attempt, if its tag is still the
 * one that is answered. A row whose tag does not hold is never tagged anew: that would bless what somebody wrote.
 */
export async function markBroken({ hsm, database }: Bench, keyId: string): Promise<MarkedKey> {
  const [stored] = await selectKeysByKeyId(database, [keyId]);
  if (stored === undefined) throw new Error(`there is no key ${keyId} any more`);
  const [marked] = await hsm.mark([{ row: stored.key, status: 'broken' }]);
  if (marked === undefined) throw new Error('the HSM layer answers every key');
  if (!marked.ok) throw new Error(`${marked.code}: ${marked.message}`);
  return { tag: stored.key.tag.toString('base64'), newTag: marked.value.tag.toString('base64') };
}
