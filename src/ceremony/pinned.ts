import type { CeremonyFile } from '../shared/ceremony-file.ts';
import { wrapMechanismOn } from '../shared/key-ring.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import { publicKeyHex } from '../worker/hsm/encoding.ts';
import type { Reference } from './examination.ts';

/** What a protocol file pins, as the steps of a ceremony use it. */

export function referenceOf({ integrityKey, attestationKey, canaries }: CeremonyFile): Reference {
  return {
    integrityKeyId: integrityKey.id,
    attestation: {
      curve: 'P-256',
      publicKey: publicKeyHex('P-256', Buffer.from(attestationKey.publicKey, 'hex')),
      blob: Buffer.from(attestationKey.blob, 'base64'),
    },
    canaries: canaries.map(({ curve, publicKey, blob }) => ({ curve, publicKey, blob: Buffer.from(blob, 'base64') })),
  };
}

/** How the token with this serial number wraps; without one, how the file says that the key store does. */
export function pinnedMethod(file: CeremonyFile, serial = ''): WrapMethod {
  return { algorithm: file.masterKey.wrapAlgorithm, mechanism: wrapMechanismOn(file, serial) };
}
