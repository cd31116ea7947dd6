import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { CodedError } from './errors.ts';
import { wrapAlgorithms } from './wrap-algorithms.ts';

/**
 * The ceremony's protocol file: what every node pins about the key store, and what auditors read. It holds no secret:
 * blobs open only under the master key inside an HSM. The database copy of any of this is only ever compared with it.
 */
const wrappedKeyPair = {
  /** Attestation: 65-byte uncompressed point; canaries: as in src/shared/keys.ts. Hex. */
  publicKey: z.string().regex(/^[0-9a-f]+$/),
  /** The private key, wrapped by the master key. base64. */
  blob: z.base64(),
};

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const keyMaterial = {
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
};

const tokenFacts = {
  slot: z.string(),
  label: z.string(),
  serial: z.string(),
  manufacturer: z.string(),
  model: z.string(),
  /** Where this token has another number for the algorithm than `masterKey.wrapMechanism`. */
  wrapMechanism: z.int().min(1).optional(),
};

export const ceremonyToken = z.strictObject({
  /**
   * `backup`: the one token with copies that can be wrapped for another token; it never signs. `rotation`: the token that
   * re-wraps stored keys from the master key before this one; it signs for nobody.
   */
  role: z.enum(['signing', 'backup', 'rotation']),
  ...tokenFacts,
  /** SHA-256 of the RSA transport key that this token received the keys under, as read on this token. */
  transportKeySha256: sha256.optional(),
  /** The token does not enforce the master key's template; the configuration took it all the same. */
  tierB: z
    .strictObject({
      /** Attributes (CKA_…) that the token did not take or does not show. */
      notTaken: z.array(z.string()),
      /** What it allows though the template forbids it, in words. */
      allows: z.array(z.string()),
    })
    .optional(),
  /** The last check that this token passed. */
  checkedAt: z.iso.datetime().optional(),
  /** When its keys were destroyed, because the HSM was taken out of service. */
  retiredAt: z.iso.datetime().optional(),
});
export type CeremonyToken = z.infer<typeof ceremonyToken>;

const ceremonyStep = z.strictObject({
  step: z.enum([
    'create',
    'adopt',
    'next-master-key',
    'next-integrity-key',
    'add-token',
    'deliver',
    'merge',
    'check',
    'go-live',
    'destroy',
    'retire',
  ]),
  at: z.iso.datetime(),
  /** False: a rehearsal or a script; nobody was asked, nobody compared. */
  attended: z.boolean(),
  /** Who was there, as they said: the operator, then the second person. */
  people: z.array(z.string()),
  /** SHA-256 of this file before the step: whoever kept it sees that nothing was changed in between. */
  fileBefore: sha256.optional(),
  /** For `deliver`: to whom keys were handed in a file. What came of it is told by a later step of that token. */
  delivered: z.strictObject({ slot: z.string(), serial: z.string(), transportKeySha256: sha256 }).optional(),
  /** What was done and seen. */
  record: z.array(z.string()),
});
export type CeremonyStep = z.infer<typeof ceremonyStep>;

const version2 = z.strictObject({
  version: z.literal(2),
  ...keyMaterial,
  /** Who made the keys, and so how a further token gets them. */
  keysFrom: z.enum(['backup token', 'vendor tools', 'first token']),
  tokens: z.array(ceremonyToken),
  /** Present once nodes may work with these keys. */
  live: z.strictObject({ at: z.iso.datetime(), rehearsal: z.boolean() }).optional(),
  steps: z.array(ceremonyStep),
  /** What auditors will see on the tokens, and why. */
  explanations: z.array(z.string()),
});
export type CeremonyFile = z.infer<typeof version2>;

/** Written by the first version, whose one command made and checked everything and asked nobody. */
const version1 = z
  .strictObject({
    version: z.literal(1),
    ...keyMaterial,
    tokens: z.array(z.strictObject({ ...tokenFacts, transportKeySha256: sha256 })),
  })
  .transform(
    (file): CeremonyFile => ({
      ...file,
      version: 2,
      keysFrom: 'first token',
      tokens: file.tokens.map((token) => ({
        role: 'signing',
        ...token,
        checkedAt: file.createdAt,
      })),
      live: { at: file.createdAt, rehearsal: true },
      steps: [],
      explanations: [],
    }),
  );

export const ceremonyFile = z.union([version2, version1]);

/** What operators must know of a slot at work, in words; empty after a ceremony that two people attended. */
export function ceremonyWarnings({ live, tokens }: CeremonyFile, serial: string): readonly string[] {
  const { tierB } = tokens.find((one) => one.serial === serial) ?? {};
  const laxness = tierB === undefined ? [] : [...tierB.allows, ...tierB.notTaken.map((name) => `no ${name}`)];
  return [
    ...(live?.rehearsal === true ? ['these keys went live as a rehearsal: they must protect nothing of value'] : []),
    ...(laxness.length === 0
      ? []
      : [`tier B: whoever has the PIN and a wrapped key can extract that key (${laxness.join('; ')})`]),
  ];
}

/** For nodes: a protocol file whose keys may be worked with. @throws CONFIG_INVALID, CEREMONY_NOT_LIVE */
export function readLiveCeremony(file: string): CeremonyFile {
  const ceremony = readCeremonyFile(file);
  if (ceremony.live !== undefined) return ceremony;
  throw new CodedError('CEREMONY_NOT_LIVE', `${ceremony.masterKey.id} of key store ${ceremony.keyStore}, ${file}`);
}

/** @throws CONFIG_INVALID naming the file and every problem in it. */
export function readCeremonyFile(file: string): CeremonyFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CodedError('CONFIG_INVALID', `ceremonyFile ${file} cannot be read (${(cause as Error).message})`, {
      cause,
    });
  }
  return parseCeremonyFile(text, file);
}

/** @throws CONFIG_INVALID naming the file and every problem in it. */
export function parseCeremonyFile(text: string, file: string): CeremonyFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CodedError('CONFIG_INVALID', `ceremonyFile ${file} is not JSON (${(cause as Error).message})`, { cause });
  }
  const schema = (json as { version?: unknown } | null)?.version === 1 ? version1 : version2;
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const found = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new CodedError('CONFIG_INVALID', `ceremonyFile ${file}: ${found.join('; ')}`);
}
