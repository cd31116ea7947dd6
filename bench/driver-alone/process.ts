import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { driverConfiguration } from '../../src/shared/configuration/driver.ts';
import { loadConfiguration } from '../../src/shared/configuration/load.ts';
import { attestationPublicKey } from '../../src/shared/crypto/attestation.ts';
import { createPool } from '../../src/shared/database/pool.ts';
import { readKeyRing } from '../../src/shared/key-ring-files.ts';
import { createLog } from '../../src/shared/log.ts';
import { createReleasers } from '../../src/shared/releasers.ts';
import { version } from '../../src/shared/version.ts';
import { createWorkerChain } from '../../src/worker/audit/worker-chain.ts';
import { createDriverDatabase } from '../../src/worker/database.ts';
import { type Hsm, openHsm } from '../../src/worker/hsm/session-threads.ts';
import { openPolicy } from '../../src/worker/policy/open-policy.ts';
import { createSlotState } from '../../src/worker/slot-state.ts';
import { startWork } from '../../src/worker/start-work.ts';
import { serve } from '../child/serve.ts';
import type { AloneRate, AloneRun, DriverAloneCalls } from './calls.ts';
import { createMemoryQueue, type Work } from './memory-queue.ts';

/** All of a worker but its primary and the wire to the API: session threads, journal, jobs, polling and reports. */
const queue = createMemoryQueue();
let hsm: Hsm | undefined;

async function open(configFile: string): Promise<void> {
  const configuration = loadConfiguration(configFile, driverConfiguration);
  const [slot] = configuration.slots;
  if (slot === undefined) throw new Error('the node has no slot');
  const log = createLog('warn', { process: 'driver alone' });
  const ring = readKeyRing(configuration);
  const pool = createPool(
    configuration.database,
    { applicationName: 'hsm-driver bench', max: 2, durability: 'durable' },
    log,
  );
  const database = createDriverDatabase(pool, configuration.database, log);
  const { keyStore } = configuration;
  hsm = await openHsm({
    slot: { ...slot, measureCpu: true },
    ring,
    turn: { take: async () => {}, done: () => {} },
    // The bench's own token: its PIN was made with it.
    firstLogin: (_token, _pin, login) => login(),
    log,
  });
  const state = createSlotState(log);
  state.to('probing');
  const instance = randomUUID();
  const stamp = { version: version(), token: hsm.token.serial };
  startWork({
    keyStore,
    writer: { slot: slot.name, instance },
    audit: createWorkerChain(database, instance, { keyStore }, stamp),
    threads: slot.sessions,
    keepAliveMs: slot.keepAliveMs,
    masterKeyId: ring.current.masterKey.id,
    integrityKeyId: ring.current.integrityKey.id,
    onDeviceFault: (error) => log.error({ error: error.message }, 'device fault'),
    hsm,
    api: queue.api,
    database,
    policy: openPolicy(
      configuration,
      slot.name,
      attestationPublicKey(ring.current.attestationKey.publicKey),
      database,
      log,
    ),
    state,
    fail: (error) => {
      throw error;
    },
    // What is acquired here ends with this process.
    releasers: createReleasers(() => {}),
    log,
  });
}

async function createKeys(work: Extract<Work, { kind: 'generate' }>): Promise<string[]> {
  const made: string[] = [];
  const all = Promise.withResolvers<void>();
  queue.onOutcome = ({ id, result }) => {
    if (result.kind === 'Error') all.reject(new Error(`${result.code}: ${result.message}`));
    made.push(id);
    if (made.length === work.count) all.resolve();
  };
  queue.open(work);
  await all.promise;
  queue.close();
  return made;
}

async function run({ ms, ...work }: AloneRun): Promise<AloneRate> {
  let done = 0;
  let failed = 0;
  let failure: string | undefined;
  queue.onOutcome = ({ result }) => {
    if (result.kind === 'Error') {
      failed += 1;
      failure ??= `${result.code}: ${result.message}`;
    } else done += 1;
  };
  const cpu = process.cpuUsage();
  const pkcs11 = hsm?.pkcs11CpuMs() ?? 0;
  const began = performance.now();
  queue.open({ kind: 'sign', ...work });
  await sleep(ms);
  const during = done;
  const seconds = (performance.now() - began) / 1_000;
  queue.close();
  await queue.drained();
  const { user, system } = process.cpuUsage(cpu);
  return {
    done,
    perSecond: during / seconds,
    failed,
    ...(failure === undefined ? {} : { failure }),
    cpuMs: (user + system) / 1_000 / done,
    pkcs11CpuMs: ((hsm?.pkcs11CpuMs() ?? 0) - pkcs11) / done,
  };
}

serve<DriverAloneCalls>({
  async open({ configFile }) {
    await open(configFile);
    return null;
  },
  createKeys: ({ curve, count }) => createKeys({ kind: 'generate', curve, count }),
  run,
});
