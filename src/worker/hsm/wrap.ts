import { createDecipheriv, randomBytes } from 'node:crypto';
import { type WrapAlgorithm, type WrapChoice, type WrapMethod, wrapAlgorithms } from '../../shared/wrap-algorithms.ts';
import { CKR } from './ckr.ts';
import { CKM } from './constants.ts';
import { Pkcs11Fault } from './fault.ts';
import type { Cryptoki, Handle, Template } from './module.ts';

/**
 * Wrapping by each algorithm, and what its blobs look like. RFC 5649 blobs are the algorithm's output. The others need an
 * IV, so theirs begin with it:
 *
 *   0x01 | length of IV (1 byte) | IV | length of AAD (2 bytes, big-endian) | AAD | output of C_WrapKey
 *
 * AES-GCM: 96-bit IV, 128-bit tag at the end of the output. An HSM that insists on an IV of its own writes it over ours, so
 * it is stored as it is after the call. CBC_PAD: 128-bit IV, no AAD.
 */

/** The numbers that may be each algorithm where the configuration gives none; the standard’s first. */
const standardMechanisms: Readonly<Record<WrapAlgorithm, readonly number[]>> = {
  // SoftHSM’s 0x210A is RFC 5649 though the standard’s is 0x210B: the ceremony proves what it is.
  RFC5649: [CKM.AES_KEY_WRAP_KWP, CKM.AES_KEY_WRAP_PAD],
  'AES-GCM': [CKM.AES_GCM],
  CBC_PAD: [CKM.AES_CBC_PAD],
};

const defaultChoices: readonly WrapChoice[] = [{ algorithm: 'RFC5649' }, { algorithm: 'AES-GCM' }];

/** What may be tried on a token, in order; CBC_PAD only when it is named. */
export function wrapCandidates(choices: readonly WrapChoice[] = defaultChoices): readonly WrapMethod[] {
  return choices.flatMap(({ algorithm, mechanism }) =>
    (mechanism === undefined ? standardMechanisms[algorithm] : [mechanism]).map((number) => ({
      algorithm,
      mechanism: number,
    })),
  );
}

/** Every algorithm under its standard numbers and those of the configuration: to find out what a token can do. */
export function everyWrapMethod(choices: readonly WrapChoice[] = []): readonly WrapMethod[] {
  const all = [...wrapCandidates(choices), ...wrapCandidates(wrapAlgorithms.map((algorithm) => ({ algorithm })))];
  return all.filter(
    (one, index) =>
      all.findIndex((other) => other.algorithm === one.algorithm && other.mechanism === one.mechanism) === index,
  );
}

/** Authenticated with every AES-GCM blob: no other use of the key makes one that opens. */
const aadOfWallets = Buffer.from('hsm-driver wrapped key v1');
const ivBytes = { 'AES-GCM': 12, CBC_PAD: 16 } as const;
const gcmTagBits = 128;

/** C_WrapKey. @returns the blob as it is stored. @throws Pkcs11Fault */
export function wrapKey(
  cryptoki: Cryptoki,
  session: Handle,
  { algorithm, mechanism }: WrapMethod,
  wrappingKey: Handle,
  key: Handle,
): Buffer {
  switch (algorithm) {
    case 'RFC5649':
      return cryptoki.wrapKey(session, { mechanism }, wrappingKey, key);
    case 'AES-GCM':
    case 'CBC_PAD': {
      const iv = randomBytes(ivBytes[algorithm]);
      const aad = algorithm === 'AES-GCM' ? aadOfWallets : Buffer.alloc(0);
      const output = cryptoki.wrapKey(session, parameters(algorithm, mechanism, iv, aad), wrappingKey, key);
      return encodeBlob({ iv, aad, output });
    }
    default:
      return algorithm satisfies never;
  }
}

/** C_UnwrapKey of a blob. @throws Pkcs11Fault; a blob of another shape is CKR_WRAPPED_KEY_INVALID, as a token would say. */
export function unwrapKey(
  cryptoki: Cryptoki,
  session: Handle,
  { algorithm, mechanism }: WrapMethod,
  unwrappingKey: Handle,
  blob: Buffer,
  template: Template,
): Handle {
  switch (algorithm) {
    case 'RFC5649':
      return cryptoki.unwrapKey(session, { mechanism }, unwrappingKey, blob, template);
    case 'AES-GCM':
    case 'CBC_PAD': {
      const { iv, aad, output } = decodeBlob(algorithm, blob);
      return cryptoki.unwrapKey(session, parameters(algorithm, mechanism, iv, aad), unwrappingKey, output, template);
    }
    default:
      return algorithm satisfies never;
  }
}

function parameters(algorithm: 'AES-GCM' | 'CBC_PAD', mechanism: number, iv: Buffer, aad: Buffer) {
  return algorithm === 'AES-GCM' ? { mechanism, gcm: { iv, aad, tagBits: gcmTagBits } } : { mechanism, iv };
}

interface BlobParts {
  readonly iv: Buffer;
  readonly aad: Buffer;
  readonly output: Buffer;
}

const blobVersion = 1;

export function encodeBlob({ iv, aad, output }: BlobParts): Buffer {
  const head = Buffer.from([blobVersion, iv.length]);
  const aadLength = Buffer.alloc(2);
  aadLength.writeUInt16BE(aad.length);
  return Buffer.concat([head, iv, aadLength, aad, output]);
}

/** @throws Pkcs11Fault CKR_WRAPPED_KEY_INVALID */
export function decodeBlob(algorithm: 'AES-GCM' | 'CBC_PAD', blob: Buffer): BlobParts {
  const iv = ivBytes[algorithm];
  const aadAt = 2 + iv + 2;
  if (blob.length < aadAt || blob[0] !== blobVersion || blob[1] !== iv) throw invalidBlob();
  const aad = blob.readUInt16BE(2 + iv);
  const expected = algorithm === 'AES-GCM' ? aadOfWallets : Buffer.alloc(0);
  const outputAt = aadAt + aad;
  if (blob.length <= outputAt || !blob.subarray(aadAt, outputAt).equals(expected)) throw invalidBlob();
  return {
    iv: Buffer.from(blob.subarray(2, 2 + iv)),
    aad: Buffer.from(expected),
    output: Buffer.from(blob.subarray(outputAt)),
  };
}

function invalidBlob(): Pkcs11Fault {
  return new Pkcs11Fault('C_UnwrapKey', CKR.WRAPPED_KEY_INVALID);
}

/**
 * Opens a blob whose key is known, with OpenSSL: the only proof of what a mechanism number means on a token. Used for
 * throw-away secrets.
 * @throws whatever OpenSSL says when it is not this algorithm.
 */
export function unwrapInSoftware(algorithm: WrapAlgorithm, key: Buffer, blob: Buffer): Buffer {
  switch (algorithm) {
    case 'RFC5649': {
      const decipher = createDecipheriv('id-aes256-wrap-pad', key, Buffer.from('a65959a6', 'hex'));
      return Buffer.concat([decipher.update(blob), decipher.final()]);
    }
    case 'AES-GCM': {
      const { iv, aad, output } = decodeBlob(algorithm, blob);
      const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: gcmTagBits / 8 });
      decipher.setAAD(aad);
      decipher.setAuthTag(output.subarray(-gcmTagBits / 8));
      return Buffer.concat([decipher.update(output.subarray(0, -gcmTagBits / 8)), decipher.final()]);
    }
    case 'CBC_PAD': {
      const { iv, output } = decodeBlob(algorithm, blob);
      const decipher = createDecipheriv('aes-256-cbc', key, iv);
      return Buffer.concat([decipher.update(output), decipher.final()]);
    }
    default:
      return algorithm satisfies never;
  }
}
