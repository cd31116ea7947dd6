import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Test } from 'tap';
import type { AuditChain } from '../../src/shared/audit/chain.ts';
import type { DriverConfiguration } from '../../src/shared/configuration/driver.ts';
import type { DatabaseConfiguration } from '../../src/shared/configuration/sections.ts';
import { createPool } from '../../src/shared/database/pool.ts';
import type { CodedError } from '../../src/shared/errors.ts';
import { createLog } from '../../src/shared/log.ts';
import type { ClockTime } from '../../src/shared/orders/clock.ts';
import { createReleasers } from '../../src/shared/releasers.ts';
import { createApiClient } from '../../src/worker/api-client.ts';
import { type ApiTransport, createApiTransport } from '../../src/worker/api-transport.ts';
import { createWorkerChain } from '../../src/worker/audit/worker-chain.ts';
import { createDriverDatabase, type DriverDatabase } from '../../src/worker/database.ts';
import { openPolicy } from '../../src/worker/policy/open-policy.ts';
import { createSlotState } from '../../src/worker/slot-state.ts';
import { startWork, type WorkFacts, type Working } from '../../src/worker/start-work.ts';
import type { TestCertificates } from './certificates.ts';
import type { Offer, ScriptedApi } from './scripted-api.ts';
import { temporaryDirectory } from './soft-token.ts';
import { createSoftwareHsm, type SoftwareHsm } from './software-hsm.ts';

/** The words of all worker tests. */
export const organisation = 'or-test';
export const keyStore = 'test';
export const secp256k1 = { scheme: 'ECDSA', curve: 'secp256k1' } as const;

export interface SlotWorker {
  readonly instance: string;
  readonly hsm: SoftwareHsm;
  readonly pool: pg.Pool;
  readonly database: DriverDatabase;
  readonly audit: AuditChain;
  readonly transport: ApiTransport;
  /** What ended it, if it could not go on. */
  fault: CodedError | undefined;
  readonly state: string;
  /** Log lines, newest last. */
  readonly log: Record<string, unknown>[];
  /** Device faults that its siblings would hear of. */
  readonly told: CodedError[];
  hsmWork: Working['hsmWork'];
  report(): WorkFacts;
  deviceSuspect(): void;
  stop(): Promise<boolean>;
}

export interface SlotWorkerOptions {
  readonly api: ScriptedApi;
  readonly addresses?: readonly string[];
  readonly certificates: TestCertificates;
  readonly certificate?: { readonly certificateFile: string; readonly privateKeyFile: string };
  readonly database: DatabaseConfiguration;
  readonly node?: string;
  readonly hsm?: SoftwareHsm;
  /** Session threads that it believes to have: it may always hold as many requests, however slow the machine is. */
  readonly threads?: number;
  readonly keepAliveMs?: number;
  /** By what it tells the age of an authorisation; default: this machine's. */
  readonly readClock?: () => ClockTime;
  /** What callers must have authorised; default: the API is believed. */
  readonly policy?: Partial<Pick<DriverConfiguration, 'operators' | 'allowedKinds' | 'stateDirectory'>> & {
    readonly authorisation?: Partial<DriverConfiguration['authorisation']>;
  };
}

/** All of a worker but its process and its HSM: transport, polling, jobs, journal and reports, in this process. */
export async function startSlotWorker(t: Test, options: SlotWorkerOptions): Promise<SlotWorker> {
  const { api, certificates, database: configuration, node = 'node-1', hsm = createSoftwareHsm(keyStore) } = options;
  const lines: Record<string, unknown>[] = [];
  const log = createLog('debug', { node }, { write: (line) => void lines.push(JSON.parse(line)) });
  const releasers = createReleasers((what, error) => log.warn({ what, cause: String(error) }, 'not released'));
  const transport = createApiTransport(
    {
      addresses: [...(options.addresses ?? [api.address])],
      caFile: certificates.serverCaFile,
      ...(options.certificate ?? (await certificates.client(node))),
    },
    log,
  );
  releasers.add('API connections', () => transport.close());
  const pool = createPool(configuration, { applicationName: node, max: 2, durability: 'durable' }, log);
  releasers.add('database connections', () => pool.end());
  const database = createDriverDatabase(pool, configuration, log);
  const policy = openPolicy(
    {
      keyStore,
      stateDirectory: temporaryDirectory(t),
      ...options.policy,
      authorisation: {
        mode: 'off',
        maxAgeMs: 900_000,
        primary: true,
        leastListVersion: 1,
        ...options.policy?.authorisation,
      },
    },
    `slot-${node}`,
    hsm.attestationKey,
    database,
    log,
    options.readClock,
  );
  releasers.add('policy', () => policy.state.stop());
  const state = createSlotState(log);
  state.to('probing');
  const instance = randomUUID();
  const origin = { keyStore, node, slot: `slot-${node}`, masterKeyId: 'mk-test' };
  const audit = createWorkerChain(database, instance, origin, { version: 'test', token: 'serial-test' });
  const worker: SlotWorker & { work?: Working } = {
    told: [],
    hsmWork: async (work) => (await worker.work?.hsmWork(work)) ?? { done: false, why: 'not-ready' },
    report: () => worker.work?.facts() as WorkFacts,
    deviceSuspect: () => worker.work?.deviceSuspect(),
    instance,
    hsm,
    pool,
    database,
    audit,
    transport,
    fault: undefined,
    get state() {
      return state.now;
    },
    log: lines,
    stop() {
      state.to('stopping');
      return releasers.release();
    },
  };
  worker.work = startWork({
    keyStore,
    writer: { slot: `slot-${node}`, instance },
    threads: options.threads ?? 16,
    keepAliveMs: options.keepAliveMs ?? 30_000,
    masterKeyId: 'mk-test',
    integrityKeyId: 'ik-test',
    onDeviceFault: (error) => void worker.told.push(error),
    hsm,
    api: createApiClient(transport, { instance, slot: `slot-${node}`, capabilities: [...hsm.capabilities] }),
    database,
    audit,
    policy,
    state,
    fail: (error) => {
      worker.fault ??= error;
    },
    // What a worker has 300 ms for is found to hang only after seconds: on a busy machine it is merely slow.
    releasers: {
      ...releasers,
      add: (what, release, limitMs = 1_000) => releasers.add(what, release, 20 * limitMs),
    },
    log,
  });
  t.teardown(() => worker.stop());
  return worker;
}

export function keyOffer(id = `key-${randomUUID()}`): Offer {
  return { id, attempt: 1, leaseMs: 15_000, organisation, keyId: id, kind: 'GenerateKey', type: secp256k1 };
}

export function signOffer(
  keyId: string,
  change: Partial<Extract<Offer, { kind: 'Sign' }>> = {},
): Extract<Offer, { kind: 'Sign' }> {
  return {
    id: `sig-${randomUUID()}`,
    attempt: 1,
    leaseMs: 15_000,
    organisation,
    keyId,
    kind: 'Sign',
    type: secp256k1,
    digests: [randomBytes(32).toString('hex')],
    lookUp: false,
    ...change,
  };
}

/** Offers a key request and waits for its key. */
export async function makeKey(api: ScriptedApi): Promise<{ id: string; publicKey: string }> {
  const offer = keyOffer();
  api.offer(offer);
  const result = await api.outcome(offer.id);
  if (result.kind !== 'PublicKey') throw new Error(`no key: ${JSON.stringify(result)}`);
  return { id: offer.id, publicKey: result.publicKey };
}
