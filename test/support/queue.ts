import { generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto';
import type { Test } from 'tap';
import { openApiPools } from '../../src/api/pools.ts';
import { type Queue, startQueue } from '../../src/api/queue/queue.ts';
import type { NewRequest } from '../../src/api/queue/request.ts';
import type { DatabaseConfiguration } from '../../src/shared/configuration/sections.ts';
import { type AttestedKey, attestationPublicKey } from '../../src/shared/crypto/attestation.ts';
import { lengthPrefixed } from '../../src/shared/crypto/length-prefixed.ts';
import { connectionOptions, type createPool } from '../../src/shared/database/pool.ts';
import type { LeaseCall, LeasedRequest, OutcomeResult } from '../../src/shared/driver-protocol.ts';
import { capability, requestId } from '../../src/shared/keys.ts';
import { createLog } from '../../src/shared/log.ts';

/** One API process’s queue over a real database, and the drivers and applications that a test plays itself. */
export const organisation = 'or-test';
export const keyStore = 'test';
export const secp256k1 = { scheme: 'ECDSA', curve: 'secp256k1' } as const;
const log = createLog('error', {});
const attestationKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });

function pinnedPoint(): string {
  const { x = '', y = '' } = attestationKey.publicKey.export({ format: 'jwk' });
  return `04${Buffer.from(x, 'base64url').toString('hex')}${Buffer.from(y, 'base64url').toString('hex')}`;
}

export interface TestQueue extends Queue {
  readonly pool: ReturnType<typeof createPool>;
}

export async function openQueue(
  t: Test,
  database: DatabaseConfiguration,
  signTtlMs = 300_000,
  openRequestsPerOrganisation = 100,
): Promise<TestQueue> {
  const { relaxed, durable } = openApiPools(database, log);
  await durable.query("insert into organisation (id, name) values ($1, 'Test') on conflict do nothing", [organisation]);
  const queue = await startQueue({
    relaxed,
    durable,
    listen: connectionOptions(database, { applicationName: 'test listen', durability: 'relaxed' }),
    signTtlMs,
    holdMs: 25_000,
    limits: { rememberDays: 365, openRequestsPerOrganisation, priorities: { 'or-first': 1 } },
    pinned: new Map([[keyStore, attestationPublicKey(pinnedPoint())]]),
    log,
  });
  t.teardown(async () => {
    queue.driver.dismissDrivers();
    await queue.stop();
    await Promise.all([relaxed.end(), durable.end()]);
  });
  return { ...queue, pool: durable };
}

export function attest(key: Omit<AttestedKey, 'keyStore' | 'type'>): string {
  const message = lengthPrefixed([
    'hsm-driver attestation v1',
    keyStore,
    key.organisation,
    key.keyId,
    key.requestId,
    secp256k1.scheme,
    secp256k1.curve,
    Buffer.from(key.publicKey, 'hex'),
  ]);
  return sign('sha256', message, { key: attestationKey.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
}

const requester = { organisation, serviceAccount: 'us-test', accessToken: 'to-test' };

function base(userAction: string) {
  return {
    requester,
    keyStore,
    type: secp256k1,
    userAction,
    fingerprint: randomBytes(32),
    body: {},
    authorisation: { method: 'POST', path: '/', payload: '', credentialId: 'cr', clientData: 'aa', signature: 'bb' },
  };
}

export function keyRequest(userAction: string = randomUUID()): NewRequest {
  const id = requestId('key', organisation, { userAction });
  return { ...base(userAction), id, kind: 'GenerateKey', keyId: id };
}

export function signRequest(keyId: string, options: { externalId?: string; userAction?: string } = {}): NewRequest {
  const userAction = options.userAction ?? randomUUID();
  const { externalId } = options;
  const id = requestId('sig', organisation, externalId === undefined ? { userAction } : { externalId });
  return {
    ...base(userAction),
    id,
    kind: 'Sign',
    keyId,
    digests: [randomBytes(32)],
    ...(externalId === undefined ? {} : { externalId }),
  };
}

/** A driver's worker, played by the test. */
export function openDriver(queue: Queue, nodeName: string) {
  const node = { name: nodeName, keyStore };
  const instance = randomUUID();
  const over = new AbortController();
  const call = (max: number, waitMs: number, holding: readonly string[]): LeaseCall => ({
    instance,
    slot: 'slot',
    capabilities: [capability('GenerateKey', 'secp256k1'), capability('Sign', 'secp256k1')],
    max,
    holding: [...holding],
    waitMs,
  });
  return {
    instance,
    lease: (max: number, waitMs: number, holding: readonly string[] = []): Promise<readonly LeasedRequest[]> =>
      queue.driver.lease(node, call(max, waitMs, holding), over.signal),
    async report(request: { readonly id: string; readonly lease: string }, result: OutcomeResult) {
      const answer = await queue.driver.outcomes(node, {
        instance,
        outcomes: [{ id: request.id, lease: request.lease, result }],
      });
      return answer.outcomes[0]?.acknowledgement;
    },
    release: () => queue.driver.release(node, instance),
    /** Its connection breaks, as when the process is killed. */
    die: () => over.abort(),
  };
}

/** A key that is there, made the way keys are made. */
export async function makeKey(queue: Queue): Promise<{ readonly id: string; readonly publicKey: string }> {
  const driver = openDriver(queue, 'key-maker');
  const request = keyRequest();
  await queue.application.submit(request);
  const [leased] = await driver.lease(1, 10_000);
  if (leased === undefined) throw new Error('the key request was not leased');
  const publicKey = `02${randomBytes(32).toString('hex')}`;
  const attestation = attest({ organisation, keyId: request.id, requestId: request.id, publicKey });
  await driver.report(leased, { kind: 'PublicKey', publicKey, attestation });
  await driver.release();
  return { id: request.id, publicKey };
}

export function signatures(publicKey: string): Extract<OutcomeResult, { kind: 'Signatures' }> {
  return { kind: 'Signatures', publicKey, signatures: [{ rs: randomBytes(64).toString('hex'), recid: 0 }] };
}

/** What a slot says of a key whose row it finds and cannot open. */
export const notOpened = {
  kind: 'Error',
  code: 'KEY_UNUSABLE',
  message: 'the blob does not open',
  retryable: false,
  elsewhere: true,
} as const;
