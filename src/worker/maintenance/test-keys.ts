import { randomUUID } from 'node:crypto';
import type { OpenedTestKey, TestKey } from '../../shared/hsm-work.ts';
import { type Curve, type KeyType, schemeOf } from '../../shared/keys.ts';
import type { WrappedKey } from '../wrapped-key.ts';
import type { Bench } from './bench.ts';

/**
 * The exchange of test keys between slots: what one has wrapped, every other one must open. It shows what no slot can
 * prove by itself, that they still hold the same master key. No row of `wrapped_key` is made.
 */

export async function makeTestKey({ hsm }: Bench, curve: Curve): Promise<TestKey> {
  const id = `test-key ${randomUUID()}`;
  const type = { scheme: schemeOf(curve), curve } as KeyType;
  const [made] = await hsm.generateKeys([{ requestId: id, keyId: id, organisation: 'test-key', type }]);
  if (made === undefined) throw new Error('the HSM layer answers every key');
  if (!made.ok) throw new Error(`${made.code}: ${made.message}`);
  const { publicKey, masterKeyId, blob, wrapAlgorithm, wrapMechanism } = made.value.key;
  return { curve, publicKey, masterKeyId, blob: blob.toString('base64'), wrapAlgorithm, wrapMechanism };
}

/**
 * When it does not open, the slot is probed, the pinned canary included: a slot that fails that too is not ready any more,
 * and it is not the maker’s fault.
 */
export async function openTestKey({ hsm, device, keyStore }: Bench, testKey: TestKey): Promise<OpenedTestKey> {
  const [answer] = await hsm.inspect([{ row: rowOf(keyStore, testKey), attributes: true }]);
  if (answer === undefined) throw new Error('the HSM layer answers every key');
  if (answer.ok) {
    const wrong = answer.value.join(', ');
    return wrong === ''
      ? { opened: true, soundItself: true }
      : { opened: false, soundItself: true, problem: `the token opened it with ${wrong}` };
  }
  const problem = `${answer.code}: ${answer.message}`;
  if (answer.code === 'CURVE_NOT_SUPPORTED') return { opened: null, soundItself: true };
  if (answer.code === 'KEY_NOT_ON_SLOT') return { opened: false, soundItself: true, problem };
  const suspect = { ...answer, device: answer.device === 'healthy' ? 'suspect' : answer.device } as const;
  const verdict = await device.judge(suspect);
  return { opened: false, soundItself: verdict === 'sound', problem };
}

function rowOf(keyStore: string, { curve, blob, ...testKey }: TestKey): WrappedKey {
  return {
    ...testKey,
    keyId: 'test-key',
    requestId: 'test-key',
    keyStore,
    organisation: 'test-key',
    type: { scheme: schemeOf(curve), curve } as KeyType,
    blob: Buffer.from(blob, 'base64'),
    integrityKeyId: '',
    allowedKinds: [],
    status: 'active',
    tag: Buffer.alloc(0),
  };
}
