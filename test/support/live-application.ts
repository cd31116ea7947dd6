import { generateKeyPairSync, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import type { Test } from 'tap';
import { openAuthority } from '../../scripts/local/certificates.ts';
import { createApplicationServer } from '../../src/api/application/server.ts';
import { createKeys } from '../../src/api/keys.ts';
import { createOrganisation } from '../../src/api/organisations.ts';
import { type Queue, startQueue } from '../../src/api/queue/queue.ts';
import { startDeliveries } from '../../src/api/webhooks/deliver.ts';
import { createWebhookSecrets } from '../../src/api/webhooks/secrets.ts';
import { createWebhookSender } from '../../src/api/webhooks/send.ts';
import { apiConfiguration } from '../../src/shared/configuration/api.ts';
import { attestationPublicKey } from '../../src/shared/crypto/attestation.ts';
import { connectionOptions, createPool } from '../../src/shared/database/pool.ts';
import type { LeasedRequest, OutcomeResult } from '../../src/shared/driver-protocol.ts';
import { capability } from '../../src/shared/keys.ts';
import { createLog } from '../../src/shared/log.ts';
import { attest, keyStore, type TestAccount, uncompressed } from './application.ts';
import { openTestDatabases, type TestDatabases } from './database.ts';
import { until } from './until.ts';

/**
 * Processes of the signing API over one real database, each with its own queue and server, and one driver that is played:
 * it makes and uses real keys, in memory.
 */
export interface LiveApplication {
  /** Of the first process. */
  readonly server: FastifyInstance;
  readonly servers: readonly FastifyInstance[];
  readonly pool: pg.Pool;
  readonly databases: TestDatabases;
  readonly caFile: string;
  readonly account: TestAccount;
  readonly driver: PlayedDriver;
  newAccount(): Promise<TestAccount>;
  /** As the owner of the schema: what the runtime role may not do. */
  ownerQuery(statement: string, values?: readonly unknown[]): Promise<void>;
}

export interface PlayedDriver {
  /** While false, what is leased is kept and not answered. */
  answers: boolean;
  /** What a driver reports instead. */
  report: ((request: LeasedRequest) => OutcomeResult | undefined) | undefined;
  readonly leased: LeasedRequest[];
}

export interface LiveOptions {
  readonly processes?: number;
  readonly holdMs?: number;
  readonly configuration?: Record<string, unknown>;
}

export async function openLiveApplication(t: Test, options: LiveOptions = {}): Promise<LiveApplication> {
  const { processes = 1, holdMs = 10_000 } = options;
  const log = createLog('silent', {});
  const databases = await openTestDatabases(t);
  const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-live-'));
  const { certificateFile: caFile, issue } = await openAuthority(directory, 'Test CA');
  const certificate = await issue('localhost', 'server');
  const attestationKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const attestationPoint = uncompressed(attestationKey.publicKey);
  const pinned = new Map([[keyStore, attestationPublicKey(attestationPoint)]]);
  const configuration = apiConfiguration.parse({
    kind: 'api',
    application: { port: 1, ...certificate },
    driver: { port: 2, ...certificate, clientCaFile: caFile },
    database: databases.api,
    userActionSecretFile: join(directory, 'secret'),
    keyStores: [{ id: keyStore, name: 'Main', primary: true, attestationPublicKey: attestationPoint }],
    holdMs,
    ...options.configuration,
  });
  const secret = randomBytes(32);

  const start = async () => {
    const relaxed = createPool(databases.api, { applicationName: 'test', max: 5, durability: 'relaxed' }, log);
    const durable = createPool(databases.api, { applicationName: 'test', max: 4, durability: 'durable' }, log);
    const queue = await startQueue({
      relaxed,
      durable,
      listen: connectionOptions(databases.api, { applicationName: 'test listen', durability: 'relaxed' }),
      signTtlMs: configuration.signTtlMs,
      holdMs: configuration.holdMs,
      limits: configuration.queue,
      pinned,
      log,
    });
    const keys = createKeys(durable, pinned);
    const webhookSecrets = createWebhookSecrets(secret);
    const webhookSender = createWebhookSender(configuration.webhooks);
    const deliveries = startDeliveries({ pool: relaxed, keys, secrets: webhookSecrets, sender: webhookSender, log });
    const server = createApplicationServer({
      configuration,
      pool: durable,
      queue: queue.application,
      userActionSecret: secret,
      keys,
      webhookSecrets,
      webhookSender,
      log,
    });
    t.teardown(async () => {
      await deliveries.stop();
      await server.close();
      queue.driver.dismissDrivers();
      await queue.stop();
      await Promise.all([relaxed.end(), durable.end()]);
    });
    return { queue, server, durable };
  };
  const started = await Promise.all(Array.from({ length: processes }, start));
  const [first] = started;
  if (first === undefined) throw new Error('no process');
  const driver = playDriver(t, first.queue, attestationKey.privateKey);
  const type = { scheme: 'ECDSA', curve: 'secp256k1' } as const;
  await until('every process knows of the driver', () =>
    started.every(({ queue }) => {
      try {
        queue.application.requireCapacity(keyStore, 'Sign', type);
        return true;
      } catch {
        return false;
      }
    }),
  );
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));

  const newAccount = async (): Promise<TestAccount> => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const credentialPublicKey = String(publicKey.export({ type: 'spki', format: 'pem' }));
    return { ...(await createOrganisation(first.durable, { name: 'Test', credentialPublicKey })), privateKey };
  };
  return {
    server: first.server,
    servers: started.map(({ server }) => server),
    pool: first.durable,
    databases,
    caFile,
    account: await newAccount(),
    driver,
    newAccount,
    ownerQuery: databases.asOwner,
  };
}

function playDriver(t: Test, queue: Queue, attestationKey: KeyObject): PlayedDriver {
  const node = { name: 'played', keyStore };
  const instance = randomUUID();
  const privateKeys = new Map<string, Uint8Array>();
  const capabilities = (['GenerateKey', 'Sign'] as const).flatMap((kind) =>
    (['secp256k1', 'ed25519'] as const).map((curve) => capability(kind, curve)),
  );
  const over = new AbortController();
  const played: PlayedDriver = { answers: true, report: undefined, leased: [] };
  const open = new Map<string, LeasedRequest>();

  const once = async (): Promise<void> => {
    const call = { instance, slot: 'slot', capabilities, max: 16, holding: [...open.keys()], waitMs: 100 };
    for (const request of await queue.driver.lease(node, call, over.signal)) {
      open.set(request.id, request);
      played.leased.push(request);
    }
    if (!played.answers || open.size === 0) return;
    const outcomes = [...open.values()].map((request) => ({
      id: request.id,
      lease: request.lease,
      result: played.report?.(request) ?? work(request),
    }));
    await queue.driver.outcomes(node, { instance, outcomes });
    open.clear();
  };
  const work = (request: LeasedRequest): OutcomeResult => {
    const curve = request.type.curve === 'ed25519' ? ed25519 : secp256k1;
    if (request.kind === 'GenerateKey') {
      // Delivered again after a lost answer, it is the same key.
      const privateKey = privateKeys.get(request.keyId) ?? curve.utils.randomSecretKey();
      privateKeys.set(request.keyId, privateKey);
      const publicKey = Buffer.from(curve.getPublicKey(privateKey)).toString('hex');
      const { id: requestId, organisation, keyId, type } = request;
      const attestation = attest(attestationKey, { keyStore, organisation, keyId, requestId, type, publicKey });
      return { kind: 'PublicKey', publicKey, attestation };
    }
    const privateKey = privateKeys.get(request.keyId);
    if (privateKey === undefined) throw new Error(`no key ${request.keyId}`);
    return {
      kind: 'Signatures',
      publicKey: Buffer.from(curve.getPublicKey(privateKey)).toString('hex'),
      signatures: request.digests.map((hex) => signatureOf(request.type.curve, Buffer.from(hex, 'hex'), privateKey)),
    };
  };
  const running = (async () => {
    while (!over.signal.aborted) {
      try {
        await once();
      } catch {
        // The database is away; what is open is asked for again.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  })();
  t.teardown(async () => {
    over.abort();
    await running;
  });
  return played;
}

function signatureOf(curve: string, message: Buffer, privateKey: Uint8Array) {
  if (curve === 'ed25519') return { rs: Buffer.from(ed25519.sign(message, privateKey)).toString('hex') };
  const signed = secp256k1.sign(message, privateKey, { prehash: false, format: 'recovered' });
  return { rs: Buffer.from(signed.subarray(1)).toString('hex'), recid: signed[0] as 0 | 1 };
}
