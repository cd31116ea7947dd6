import { z } from 'zod';
import { signedHead } from './audit/signed-head.ts';
import { keyTypes, requestKinds } from './keys.ts';

/**
 * Driver protocol v1: JSON over HTTPS/1.1 with mutual TLS, between a worker (or its primary, for `release`) and the
 * signing API. One place for both sides: the schemas give the types and the validation. Unknown fields are ignored
 * and unknown kinds are never leased, so versions N and N-1 work together.
 *
 * Encodings are those of src/shared/keys.ts; `attestation` is base64url of a 64-byte r‖s.
 */

export const protocolLimits = {
  /** Longest time a lease call is held open. */
  maxWaitMs: 5_000,
  /** Most requests in one lease answer, and most outcomes in one report. */
  maxBatch: 256,
  /** Most keys in one page of the list of keys. */
  maxKeys: 1_000,
  /** Largest message an EdDSA key signs, in bytes. */
  maxMessageBytes: 16_000,
} as const;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const hexBytes = z.string().regex(/^([0-9a-f]{2})+$/);
const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/);
/**
 * Optional on both sides, on every lease and outcomes call: the newest head of the instance's audit chain that the API has
 * not answered for, until it does. `refused`: it does not hold, or contradicts what is stored.
 */
const auditHead = signedHead.optional();
const auditHeadAnswer = z.enum(['stored', 'refused']).optional();

const publicKey = z.string().regex(/^([0-9a-f]{64}|0[23][0-9a-f]{64})$/);

// -- POST /driver/v1/lease ----------------------------------------------------------------------------------------

export const leaseCall = z.object({
  /** New at every start of a worker process. */
  instance: z.uuid(),
  slot: z.string().min(1).max(64),
  /** What the worker's HSM was proven to do, e.g. `Sign:ECDSA/secp256k1`. Words the API does not know are ignored. */
  capabilities: z.array(z.string().max(64)).max(64),
  /** Room for this many more requests. 0 = only renew. */
  max: z.int().min(0).max(protocolLimits.maxBatch),
  /** Every request this instance still works on, outcomes not yet acknowledged included. All others are taken back. */
  holding: z.array(z.string().max(64)).max(4096),
  waitMs: z.int().min(0).max(protocolLimits.maxWaitMs),
  auditHead,
});
export type LeaseCall = z.infer<typeof leaseCall>;

/** The user action that made a wallet, always by POST /wallets: what its id is a hash of (src/shared/keys.ts). */
export const walletStatement = z.object({
  payload: z.string(),
  credentialId: z.string(),
  clientData: base64url,
  signature: base64url,
});
export type WalletStatement = z.infer<typeof walletStatement>;

/** The caller's user action, as the credential signed it: travels with the request so that a driver can check it. */
export const authorisation = z.object({
  method: z.string(),
  path: z.string(),
  /** The body exactly as it was signed. */
  payload: z.string(),
  credentialId: z.string(),
  clientData: base64url,
  signature: base64url,
  /** Where the path names a wallet: how a driver knows which key and network that is. */
  wallet: walletStatement.optional(),
});
export type Authorisation = z.infer<typeof authorisation>;

const leasedBase = {
  id: z.string().min(1).max(64),
  lease: z.uuid(),
  /** 1 for the first try. At 2 it comes with its like only, from 3 on alone; nothing else is worked on meanwhile. */
  attempt: z.int().min(1),
  /** How long the lease lasts from the receipt of this answer, on the receiver's monotonic clock. */
  leaseMs: z.int().min(1),
  /** How long it had waited at the API when it was leased, by the API's clock; for the driver's metrics. */
  queuedMs: z.int().min(0).optional(),
  organisation: z.string().min(1).max(64),
  keyId: z.string().min(1).max(64),
  authorisation: authorisation.optional(),
};

const keyType = z.union([
  z.object({ scheme: z.literal(keyTypes[0].scheme), curve: z.literal(keyTypes[0].curve) }),
  z.object({ scheme: z.literal(keyTypes[1].scheme), curve: z.literal(keyTypes[1].curve) }),
  z.object({ scheme: z.literal(keyTypes[2].scheme), curve: z.literal(keyTypes[2].curve) }),
]);

export const leasedRequest = z.discriminatedUnion('kind', [
  z.object({ ...leasedBase, kind: z.literal('GenerateKey'), type: keyType }),
  z.object({
    ...leasedBase,
    kind: z.literal('Sign'),
    type: keyType,
    /** What C_Sign is given, once per signature: the 32-byte digest for ECDSA, the whole message for EdDSA. */
    digests: z.array(hexBytes).min(1).max(256),
    /** True where the journal may already hold this id: look before the HSM is asked. */
    lookUp: z.boolean(),
  }),
]);
export type LeasedRequest = z.infer<typeof leasedRequest>;
export type LeasedSign = Extract<LeasedRequest, { kind: 'Sign' }>;
export type LeasedGenerateKey = Extract<LeasedRequest, { kind: 'GenerateKey' }>;

export const leaseAnswer = z.object({ requests: z.array(leasedRequest), auditHead: auditHeadAnswer });
export type LeaseAnswer = z.infer<typeof leaseAnswer>;

// -- POST /driver/v1/outcomes -------------------------------------------------------------------------------------

export const signature = z.object({
  /** r‖s; low-s for ECDSA. */
  rs: hex(64),
  /** y parity of R after low-s; secp256k1 only. */
  recid: z.union([z.literal(0), z.literal(1)]).optional(),
});
export type Signature = z.infer<typeof signature>;

export const outcomeResult = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('PublicKey'), publicKey, attestation: base64url }),
  /** `publicKey`: the one the signatures were verified against; the API compares it with its own record. */
  z.object({ kind: z.literal('Signatures'), publicKey, signatures: z.array(signature).min(1).max(256) }),
  z.object({
    kind: z.literal('Error'),
    /** A code of src/shared/errors.ts; one the API does not know is kept as text. */
    code: z.string().min(1).max(64),
    message: z.string().max(1000),
    /** True: another slot may succeed. False: the request has failed for good. */
    retryable: z.boolean(),
    /**
     * With `retryable: false`: this slot is healthy and does not open the key. The request has failed only when a second
     * slot says the same, or there is none. An API that does not know this field fails it at once.
     */
    elsewhere: z.boolean().optional(),
  }),
]);
export type OutcomeResult = z.infer<typeof outcomeResult>;

export const outcome = z.object({ id: z.string().min(1).max(64), lease: z.uuid(), result: outcomeResult });
export type Outcome = z.infer<typeof outcome>;

export const outcomesCall = z.object({
  instance: z.uuid(),
  outcomes: z.array(outcome).min(1).max(protocolLimits.maxBatch),
  auditHead,
});
export type OutcomesCall = z.infer<typeof outcomesCall>;

/** `conflict`: a different success was accepted before, or the public key is not the one the API knows. */
export const acknowledgement = z.enum(['accepted', 'duplicate', 'conflict', 'unknown']);
export type Acknowledgement = z.infer<typeof acknowledgement>;

export const outcomesAnswer = z.object({
  outcomes: z.array(z.object({ id: z.string(), acknowledgement })),
  auditHead: auditHeadAnswer,
});
export type AuditHeadAnswer = z.infer<typeof auditHeadAnswer>;
export type OutcomesAnswer = z.infer<typeof outcomesAnswer>;

// -- POST /driver/v1/release --------------------------------------------------------------------------------------

/** Ends an instance for ever; its primary calls it the moment the worker is gone. */
export const releaseCall = z.object({ instance: z.uuid() });
export type ReleaseCall = z.infer<typeof releaseCall>;
export const releaseAnswer = z.object({});

// -- POST /driver/v1/keys -----------------------------------------------------------------------------------------

/** What the API knows of the keys of this node's key store: a page of them, or those that are named. For reconciliation. */
export const keysCall = z.union([
  z.object({ ids: z.array(z.string().min(1).max(64)).min(1).max(protocolLimits.maxKeys) }),
  z.object({
    /** The last id of the page before; left out for the first page. */
    after: z.string().max(64).optional(),
    limit: z.int().min(1).max(protocolLimits.maxKeys),
  }),
]);
export type KeysCall = z.infer<typeof keysCall>;

export const knownKey = z.object({
  id: z.string(),
  organisation: z.string(),
  /** The GenerateKey request that made it. */
  requestId: z.string(),
  scheme: z.string(),
  curve: z.string(),
  publicKey,
});
export type KnownKey = z.infer<typeof knownKey>;

/** In the order of the API's index; a page that is shorter than its limit is the last one. */
export const keysAnswer = z.object({ keys: z.array(knownKey) });
export type KeysAnswer = z.infer<typeof keysAnswer>;

/** The body of every refused call of the driver protocol. */
export const refusal = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

export const requestKindWords: readonly string[] = requestKinds;
