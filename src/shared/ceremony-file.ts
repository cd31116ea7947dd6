import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { CodedError } from './errors.ts';
import { wrapAlgorithms } from './wrap-algorithms.ts';

/**
 * The ceremony's protocol file: what every node pins about the key store. It holds no secret: blobs open only under
 * the master key inside an HSM. The database copy of any of this is only ever compared with it.
 */
const wrappedKeyPair = {
  /** Attestation: 65-byte uncompressed point; canaries: as in src/shared/keys.ts. Hex. */
  publicKey: z.string().regex(/^[0-9a-f]+$/),
  /** The private key, wrapped by the master key. base64. */
  blob: z.base64(),
};

export const ceremonyFile = z.strictObject({
  version: z.literal(1),
  keyStore: z.string().min(1),
  createdAt: z.iso.datetime(),
  masterKey: z.strictObject({
    /** Names this master key in every row and log; random, made by the ceremony. */
    id: z.string().regex(/^mk-[a-z2-7]{16}$/),
    /** CKA_LABEL and CKA_ID (hex) of the object on every token; the canaries, not these, prove what it is. */
    label: z.string().min(1),
    ckaId: z.string().regex(/^([0-9a-f]{2})+$/),
    /** How wallet keys are wrapped: the algorithm's name, and the mechanism number these tokens use for it. */
    wrapAlgorithm: z.enum(wrapAlgorithms),
    wrapMechanism: z.int().min(1),
  }),
  integrityKey: z.strictObject({
    id: z.string().regex(/^ik-[a-z2-7]{16}$/),
    label: z.string().min(1),
    ckaId: z.string().regex(/^([0-9a-f]{2})+$/),
    algorithm: z.enum(['HMAC-SHA-256']),
  }),
  attestationKey: z.strictObject(wrappedKeyPair),
  canaries: z.array(z.strictObject({ curve: z.enum(['secp256k1', 'P-256', 'ed25519']), ...wrappedKeyPair })).min(1),
  tokens: z.array(
    z.strictObject({
      slot: z.string(),
      label: z.string(),
      serial: z.string(),
      manufacturer: z.string(),
      model: z.string(),
      /** SHA-256 of the RSA transport key that this token received the keys under, as read on this token. */
      transportKeySha256: z.string().regex(/^[0-9a-f]{64}$/),
      /** Where this token has another number for the algorithm than `masterKey.wrapMechanism`. */
      wrapMechanism: z.int().min(1).optional(),
    }),
  ),
});
export type CeremonyFile = z.infer<typeof ceremonyFile>;

/** The number under which a token of the ceremony wraps. */
export function wrapMechanismOn({ masterKey, tokens }: CeremonyFile, serial: string): number {
  return tokens.find((one) => one.serial === serial)?.wrapMechanism ?? masterKey.wrapMechanism;
}

/** @throws CONFIG_INVALID naming the file and every problem in it. */
export function readCeremonyFile(file: string): CeremonyFile {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new CodedError(
      'CONFIG_INVALID',
      `ceremonyFile ${file} cannot be read as JSON (${(cause as Error).message})`,
      { cause },
    );
  }
  const result = ceremonyFile.safeParse(json);
  if (result.success) return result.data;
  const found = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new CodedError('CONFIG_INVALID', `ceremonyFile ${file}: ${found.join('; ')}`);
}
