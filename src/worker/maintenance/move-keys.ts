import type { KeysToMove, MovedKey } from '../../shared/hsm-work.ts';
import type { HsmFailure, HsmResult } from '../hsm/jobs.ts';
import { selectKeysByKeyId } from '../key-rows.ts';
import type { WrappedKey } from '../wrapped-key.ts';
import type { Bench } from './bench.ts';

/** Rows as a rotation wants them, under the slot’s current key. Nothing is stored here. */

/** On a rotation slot. @throws Error when the slot moves keys elsewhere than the rotation says */
export async function rewrapKeys(bench: Bench, order: KeysToMove, signal: AbortSignal): Promise<MovedKey[]> {
  return await move(bench, order, signal, 'masterKeyId', (rows) => bench.moving.rewrap(rows));
}

/** On any signing slot. @throws as `rewrapKeys` */
export async function retagKeys(bench: Bench, order: KeysToMove, signal: AbortSignal): Promise<MovedKey[]> {
  return await move(bench, order, signal, 'integrityKeyId', (rows) => bench.moving.retag(rows));
}

/** Few enough that signing waits for none of them long. */
const rowsPerStep = 10;

async function move(
  bench: Bench,
  { keyIds, fromId, toId }: KeysToMove,
  signal: AbortSignal,
  column: 'masterKeyId' | 'integrityKeyId',
  act: (rows: readonly WrappedKey[]) => Promise<readonly HsmResult<WrappedKey>[]>,
): Promise<MovedKey[]> {
  const rows = (await selectKeysByKeyId(bench.database, keyIds))
    .map(({ key }) => key)
    .filter((key) => key[column] === fromId);
  const moved: MovedKey[] = [];
  for (let at = 0; at < rows.length; at += rowsPerStep) {
    const some = rows.slice(at, at + rowsPerStep);
    const answers = await bench.pace.step(() => act(some), signal);
    for (const [index, row] of some.entries()) {
      const answer = answers[index];
      if (answer === undefined) throw new Error('the HSM layer answers every row');
      if (!answer.ok) {
        moved.push(await notMoved(bench, row.keyId, answer));
        continue;
      }
      if (answer.value[column] !== toId)
        throw new Error(`this slot moves keys to ${answer.value[column]}, the rotation to ${toId}`);
      moved.push(movedKey(row, answer.value));
    }
  }
  return moved;
}

function movedKey(before: WrappedKey, after: WrappedKey): MovedKey {
  return {
    keyId: before.keyId,
    verdict: 'moved',
    oldTag: before.tag.toString('base64'),
    blob: after.blob.toString('base64'),
    wrapAlgorithm: after.wrapAlgorithm,
    wrapMechanism: after.wrapMechanism,
    tag: after.tag.toString('base64'),
  };
}

/** A key that does not open, or is another than its row says, is told from a device that fails by the device’s probe. */
async function notMoved({ device }: Bench, keyId: string, failure: HsmFailure): Promise<MovedKey> {
  const sound = (await device.judge(failure)) === 'sound';
  const ofTheKey = failure.code === 'KEY_UNUSABLE' || failure.code === 'SIGNATURE_INVALID';
  const problem = `${failure.code}: ${failure.message}`;
  return { keyId, verdict: sound && ofTheKey ? 'unusable' : 'unchecked', problem };
}
