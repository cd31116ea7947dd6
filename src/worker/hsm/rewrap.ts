import { randomBytes } from 'node:crypto';
import { CodedError } from '../../shared/errors.ts';
import type { WrappedKey } from '../wrapped-key.ts';
import { mayBlameBlob } from './failure.ts';
import type { Handle } from './module.ts';
import { signVerified } from './sign-verified.ts';
import { requireTag, tagged } from './tag.ts';
import { rotationTemplate } from './templates.ts';
import type { Workbench } from './workbench.ts';
import { unwrapKey } from './wrap.ts';

/** What a rotation does to one row, inside the HSM: the private key is never outside it in the clear. */

/**
 * From an older master key to the current one: the rotation object of the old key opens the blob as a key that may be
 * wrapped, the current master key wraps it. The new blob is proven like a new key’s before anybody is given it: it opens
 * under the strict template and signs for the row’s public key.
 * @throws KEY_UNUSABLE when the row’s tag does not hold, or the blob does not open though the device is well;
 *   SIGNATURE_INVALID when it is another key than the row says; KEY_NOT_ON_SLOT, Pkcs11Fault
 */
export function rewrapKey(bench: Workbench, row: WrappedKey): WrappedKey {
  const { session, ceremony } = bench;
  const { curve } = row.type;
  requireTag(bench, row);
  const opened = openForRotation(bench, row);
  let blob: Buffer;
  try {
    blob = session.wrap(opened);
  } finally {
    session.destroy(opened);
  }
  session.withUnwrapped(curve, blob, (key) => signVerified(session, curve, key, row.publicKey, randomBytes(32)));
  return tagged(bench, {
    ...row,
    blob,
    wrapAlgorithm: ceremony.masterKey.wrapAlgorithm,
    wrapMechanism: session.wrapMethod.mechanism,
    masterKeyId: ceremony.masterKey.id,
  });
}

/** The same row under the current integrity key. @throws KEY_UNUSABLE when its tag does not hold; KEY_NOT_ON_SLOT */
export function retagKey(bench: Workbench, row: WrappedKey): WrappedKey {
  requireTag(bench, row);
  return tagged(bench, { ...row, integrityKeyId: bench.ceremony.integrityKey.id });
}

function openForRotation(bench: Workbench, { keyId, masterKeyId, type, blob }: WrappedKey): Handle {
  const { cryptoki, handle, masterKey, wrapMethod } = bench.rotationKey(masterKeyId);
  const open = (): Handle => unwrapKey(cryptoki, handle, wrapMethod, masterKey, blob, rotationTemplate(type.curve));
  try {
    return open();
  } catch (first) {
    if (!mayBlameBlob(first)) throw first;
    bench.proveHealthy();
  }
  try {
    return open();
  } catch (second) {
    if (!mayBlameBlob(second)) throw second;
    throw new CodedError('KEY_UNUSABLE', `key ${keyId} (${(second as Error).message})`, { cause: second });
  }
}
