import { deepStrictEqual } from 'node:assert';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import type { Test } from 'tap';
import { openAuthority } from '../../scripts/local/certificates.ts';
import { routes } from '../../src/api/application/routes/index.ts';
import { createApplicationServer } from '../../src/api/application/server.ts';
import { createKeys, insertKeys } from '../../src/api/keys.ts';
import { type CreatedOrganisation, createOrganisation } from '../../src/api/organisations.ts';
import { BeliefOutdated, type NewRequest, type RequestQueue, type RequestRow } from '../../src/api/queue/request.ts';
import { createWebhookSecrets } from '../../src/api/webhooks/secrets.ts';
import { createWebhookSender } from '../../src/api/webhooks/send.ts';
import { apiConfiguration } from '../../src/shared/configuration/api.ts';
import { type AttestedKey, attestationPublicKey } from '../../src/shared/crypto/attestation.ts';
import { lengthPrefixed } from '../../src/shared/crypto/length-prefixed.ts';
import { createPool } from '../../src/shared/database/pool.ts';
import type { KeyType } from '../../src/shared/keys.ts';
import { createLog } from '../../src/shared/log.ts';
import { openTestDatabases, type TestDatabases } from './database.ts';

export const keyStore = 'main';

/**
 * The application API over a real database, with a queue played by the test: what a request becomes when it is held is
 * what `outcome` says.
 */
export interface TestApplication {
  readonly server: FastifyInstance;
  readonly pool: pg.Pool;
  readonly databases: TestDatabases;
  readonly caFile: string;
  readonly account: TestAccount;
  readonly queue: HandQueue;
  /** A second organisation's account. */
  newAccount(): Promise<TestAccount>;
  /** Lines of its log, warnings and worse. */
  readonly log: readonly Record<string, unknown>[];
  /** Puts an attested key into the database. */
  addKey(organisation: string, id: string, type: KeyType, publicKey: string): Promise<void>;
}

export interface TestAccount extends CreatedOrganisation {
  readonly privateKey: KeyObject;
}

export interface HandQueue extends RequestQueue {
  readonly rows: Map<string, RequestRow>;
  readonly submitted: NewRequest[];
  /** What a held request becomes; nothing: it stays as it is. */
  outcome: (request: NewRequest) => Promise<Partial<RequestRow>> | Partial<RequestRow>;
  /** What requireCapacity throws. */
  refuse: Error | undefined;
}

export async function openApplication(t: Test): Promise<TestApplication> {
  const lines: Record<string, unknown>[] = [];
  const log = createLog('warn', {}, { write: (line) => void lines.push(JSON.parse(line)) });
  const databases = await openTestDatabases(t);
  const pool = createPool(databases.api, { applicationName: 'test', max: 4, durability: 'durable' }, log);
  const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-application-'));
  const { certificateFile: caFile, issue } = await openAuthority(directory, 'Test CA');
  const certificate = await issue('localhost', 'server');
  const attestation = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const attestationPoint = uncompressed(attestation.publicKey);
  const configuration = apiConfiguration.parse({
    kind: 'api',
    application: { port: 1, ...certificate },
    driver: { port: 2, ...certificate, clientCaFile: caFile, nodes: [{ name: 'node', keyStore }] },
    database: databases.api,
    userActionSecretFile: join(directory, 'secret'),
    keyStores: [{ id: keyStore, primary: true, attestationPublicKey: attestationPoint }],
    holdMs: 1000,
  });
  const queue = handQueue();
  const userActionSecret = Buffer.alloc(32, 7);
  const keys = createKeys(pool, new Map([[keyStore, attestationPublicKey(attestationPoint)]]));
  const webhookSender = createWebhookSender(configuration.webhooks);
  const server = createApplicationServer({
    configuration,
    pool,
    queue,
    userActionSecret,
    keys,
    webhookSecrets: createWebhookSecrets(userActionSecret),
    webhookSender,
    log,
  });
  t.teardown(async () => {
    await server.close();
    await webhookSender.close();
    await pool.end();
    rmSync(directory, { recursive: true, force: true });
  });
  const newAccount = async (): Promise<TestAccount> => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const credentialPublicKey = String(publicKey.export({ type: 'spki', format: 'pem' }));
    return { ...(await createOrganisation(pool, { name: 'Test', credentialPublicKey })), privateKey };
  };

  return {
    server,
    pool,
    databases,
    caFile,
    account: await newAccount(),
    log: lines,
    queue,
    newAccount,
    async addKey(organisation, id, type, publicKey) {
      const key: AttestedKey = { keyStore, organisation, keyId: id, requestId: id, type, publicKey };
      const client = await pool.connect();
      await insertKeys(client, [{ ...key, id, attestation: attest(attestation.privateKey, key) }]);
      client.release();
    },
  };
}

/** As the HSM's attestation key signs; see src/shared/crypto/attestation.ts. */
export function attest(privateKey: KeyObject, key: AttestedKey): string {
  const message = lengthPrefixed([
    'hsm-driver attestation v1',
    key.keyStore,
    key.organisation,
    key.keyId,
    key.requestId,
    key.type.scheme,
    key.type.curve,
    Buffer.from(key.publicKey, 'hex'),
  ]);
  return sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
}

export function uncompressed(publicKey: KeyObject): string {
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  return `04${Buffer.from(x, 'base64url').toString('hex')}${Buffer.from(y, 'base64url').toString('hex')}`;
}

function handQueue(): HandQueue {
  const requests = new Map<string, NewRequest>();
  const rows = new Map<string, RequestRow>();
  const row = (id: string): RequestRow => {
    const found = rows.get(id);
    if (found === undefined) throw new Error(`no row ${id}`);
    return found;
  };
  const queue: HandQueue = {
    rows,
    submitted: [],
    outcome: () => ({}),
    refuse: undefined,
    requireCapacity() {
      if (queue.refuse !== undefined) throw queue.refuse;
    },
    requireRested() {},
    async submit(request) {
      // This queue looks nothing up: what was believed must be asked for.
      if (request.believed !== undefined) throw new BeliefOutdated();
      const existing = rows.get(request.id);
      if (existing !== undefined) return { row: existing, fresh: false };
      queue.submitted.push(request);
      requests.set(request.id, request);
      // The columns come back as JSON, so nothing but JSON survives.
      const stored = JSON.parse(JSON.stringify({ body: request.body, format: request.format ?? null }));
      rows.set(request.id, { ...request, ...stored, state: 'queued', deliveries: 0, createdAt: new Date() });
      return { row: row(request.id), fresh: true };
    },
    async hold(id) {
      const request = requests.get(id);
      if (request !== undefined) rows.set(id, { ...row(id), ...(await queue.outcome(request)) });
      return row(id);
    },
    async cancel(id) {
      if (row(id).state === 'queued' && row(id).deliveries === 0) rows.set(id, { ...row(id), state: 'cancelled' });
      return row(id);
    },
    async find(organisation, id) {
      const found = rows.get(id);
      return found?.requester.organisation === organisation ? found : undefined;
    },
  };
  return queue;
}

export interface TestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked at freely, as an application does
  readonly body: any;
}

/** Calls without a user action. `payload` is sent as it is. */
export async function call(
  { server }: Pick<TestApplication, 'server'>,
  account: Pick<TestAccount, 'authToken'> | undefined,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH',
  url: string,
  payload?: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<TestAnswer> {
  const answer = await server.inject({
    method,
    url,
    ...(payload === undefined ? {} : { payload }),
    headers: {
      ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      ...(account === undefined ? {} : { authorization: `Bearer ${account.authToken}` }),
      ...headers,
    },
  });
  const body: unknown = JSON.parse(answer.body);
  if (answer.statusCode === 200) requireDescribed(method, url, body);
  return { status: answer.statusCode, headers: answer.headers, body };
}

/** What is answered is what the OpenAPI document says, no member more. */
function requireDescribed(method: string, url: string, body: unknown): void {
  const path = url.split('?')[0] ?? '';
  const fits = (pattern: string): boolean => new RegExp(`^${pattern.replace(/:\w+/g, '[^/]+')}$`).test(path);
  const route = routes.find(({ endpoint }) => endpoint.method === method && fits(endpoint.path));
  if (route !== undefined) deepStrictEqual(route.endpoint.answer.parse(body), body);
}

/** Both calls that make a user action, as the SDK makes them. */
export async function userAction(
  application: Pick<TestApplication, 'server'>,
  account: TestAccount,
  method: string,
  path: string,
  payload: string,
): Promise<string> {
  const started = await call(
    application,
    account,
    'POST',
    '/auth/action/init',
    JSON.stringify({ userActionPayload: payload, userActionHttpMethod: method, userActionHttpPath: path }),
  );
  const clientData = Buffer.from(JSON.stringify({ type: 'key.get', challenge: started.body.challenge }));
  const completed = await call(
    application,
    account,
    'POST',
    '/auth/action',
    JSON.stringify({
      challengeIdentifier: started.body.challengeIdentifier,
      firstFactor: {
        kind: 'Key',
        credentialAssertion: {
          credId: account.credentialId,
          clientData: clientData.toString('base64url'),
          signature: sign(null, clientData, account.privateKey).toString('base64url'),
        },
      },
    }),
  );
  return completed.body.userAction;
}

/** A whole signed call: three requests. */
export async function signedCall(
  application: Pick<TestApplication, 'server'>,
  account: TestAccount,
  method: 'POST' | 'PUT' | 'DELETE',
  path: string,
  body: unknown,
): Promise<TestAnswer> {
  const payload = JSON.stringify(body);
  const token = await userAction(application, account, method, path, payload);
  return await call(application, account, method, path, payload, { 'x-dfns-useraction': token });
}
