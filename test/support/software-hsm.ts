import { createHmac, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import secp256k1 from 'secp256k1';
import { headDigest, type NamedHead } from '../../src/shared/audit/head.ts';
import { attestationDigest } from '../../src/shared/crypto/attestation.ts';
import type { Signature } from '../../src/shared/driver-protocol.ts';
import { type Capability, capability } from '../../src/shared/keys.ts';
import type { Order } from '../../src/shared/orders/order.ts';
import { inForceDigest } from '../../src/shared/orders/order-in-force.ts';
import type { GeneratedKey, HsmFailure, HsmResult, SignAnswer, SignJob } from '../../src/worker/hsm/jobs.ts';
import { tagMessage, type WrappedKey } from '../../src/worker/wrapped-key.ts';

/**
 * An HSM of a test's own imagination, with the seam of the real one: secp256k1 only, signatures random as an HSM makes
 * them, and faults on demand. For what a worker does about faults; how tokens behave is tested with tokens.
 */
export function createSoftwareHsm(keyStore = 'test') {
  const integrityKey = Buffer.alloc(32, 1);
  const attestationKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const attestationSecret = Buffer.from(attestationKey.export({ format: 'jwk' }).d ?? '', 'base64url');
  const tag = (key: Omit<WrappedKey, 'tag'>): Buffer =>
    createHmac('sha256', integrityKey).update(tagMessage(key)).digest();
  const signOne = (key: WrappedKey, digest: Buffer): Signature => {
    const { signature, recid } = secp256k1.ecdsaSign(digest, key.blob, { data: randomBytes(32) });
    return { rs: Buffer.from(signature).toString('hex'), recid: recid as 0 | 1 };
  };

  const hsm = {
    /** Pinned by whoever checks what this HSM attests. */
    attestationKey: createPublicKey(attestationKey),
    capabilities: [capability('GenerateKey', 'secp256k1'), capability('Sign', 'secp256k1')] as readonly Capability[],
    /** Requests that fail, by request id. */
    failures: new Map<string, HsmFailure>(),
    /** Keys that it opens as such that could be carried away. */
    extractable: new Set<string>(),
    /** Master keys that this slot does not hold. */
    lacking: new Set<string>(),
    /** What the next probes answer; default: all is well. */
    probeResult: { ok: true, value: undefined } as HsmResult<undefined>,
    probes: 0,
    /** Unwraps: one for each job. */
    jobs: [] as SignJob[],
    generated: 0,
    /** Set to make calls wait until it settles. */
    gate: Promise.resolve() as Promise<unknown>,
    tag,

    async generateKeys(
      jobs: readonly { requestId: string; keyId: string; organisation: string; type: WrappedKey['type'] }[],
    ) {
      await hsm.gate;
      return jobs.map((job): HsmResult<GeneratedKey> => {
        const failure = hsm.failures.get(job.requestId);
        if (failure !== undefined) return failure;
        hsm.generated += 1;
        return { ok: true, value: newKey(job) };
      });
    },
    async sign(jobs: readonly SignJob[]): Promise<readonly SignAnswer[]> {
      await hsm.gate;
      hsm.jobs.push(...jobs);
      return jobs.map((job) =>
        job.requests.map((request): HsmResult<readonly Signature[]> => {
          const failed = hsm.failures.get(request.requestId);
          if (failed !== undefined) return failed;
          if (hsm.lacking.has(job.key.masterKeyId)) return failure('healthy', 'KEY_NOT_ON_SLOT');
          return { ok: true, value: request.digests.map((digest) => signOne(job.key, digest)) };
        }),
      );
    },
    async checkTags(keys: readonly WrappedKey[]): Promise<readonly HsmResult<boolean>[]> {
      return keys.map((key) => ({ ok: true, value: key.tag.equals(tag(key)) }));
    },
    async signHead(head: Omit<NamedHead, 'keyStore'>): Promise<HsmResult<string>> {
      const signature = p256.sign(headDigest({ keyStore, ...head }), attestationSecret, { prehash: false });
      return { ok: true, value: Buffer.from(signature).toString('base64url') };
    },
    async attestOrder(order: Order): Promise<HsmResult<string>> {
      const signature = p256.sign(inForceDigest(keyStore, order), attestationSecret, { prehash: false });
      return { ok: true, value: Buffer.from(signature).toString('base64url') };
    },
    /** It has one key of each kind. */
    rewrap: async (rows: readonly WrappedKey[]) => rows.map(() => failure('healthy', 'KEY_NOT_ON_SLOT')),
    retag: async (rows: readonly WrappedKey[]) => rows.map(() => failure('healthy', 'KEY_NOT_ON_SLOT')),
    async inspect(
      keys: readonly { row: WrappedKey; attributes: boolean }[],
    ): Promise<readonly HsmResult<readonly string[]>[]> {
      return keys.map(({ row, attributes }): HsmResult<readonly string[]> => {
        const value = attributes && hsm.extractable.has(row.keyId) ? ['CKA_EXTRACTABLE is true'] : [];
        return hsm.failures.get(row.keyId) ?? { ok: true, value };
      });
    },
    async mark(keys: readonly { row: WrappedKey; status: WrappedKey['status'] }[]) {
      return keys.map(({ row, status }): HsmResult<WrappedKey> => {
        const marked = { ...row, status };
        return { ok: true, value: { ...marked, tag: tag(marked) } };
      });
    },
    async probe(): Promise<HsmResult<undefined>> {
      hsm.probes += 1;
      return hsm.probeResult;
    },
  };

  function newKey(job: {
    requestId: string;
    keyId: string;
    organisation: string;
    type: WrappedKey['type'];
    allowedKinds?: readonly string[];
  }): GeneratedKey {
    const blob = randomBytes(32);
    const publicKey = Buffer.from(secp256k1.publicKeyCreate(blob, true)).toString('hex');
    const untagged = {
      ...job,
      keyStore,
      publicKey,
      blob,
      wrapAlgorithm: 'RFC5649',
      wrapMechanism: 0x210a,
      masterKeyId: 'mk-test',
      integrityKeyId: 'ik-test',
      allowedKinds: job.allowedKinds ?? [],
      status: 'active' as const,
    };
    const digest = attestationDigest({ ...job, keyStore, publicKey });
    const attestation = sign(null, digest, { key: attestationKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
    return { key: { ...untagged, tag: tag(untagged) }, attestation };
  }

  return hsm;
}

export type SoftwareHsm = ReturnType<typeof createSoftwareHsm>;

export function failure(device: HsmFailure['device'], code: HsmFailure['code'], retryable = true): HsmFailure {
  return { ok: false, code, message: `scripted ${code}`, device, retryable };
}
