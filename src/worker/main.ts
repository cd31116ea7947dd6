import { randomUUID } from 'node:crypto';
import { type DriverConfiguration, driverConfiguration } from '../shared/configuration/driver.ts';
import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import { attestationPublicKey } from '../shared/crypto/attestation.ts';
import { checkSchema } from '../shared/database/migrate.ts';
import { createPool } from '../shared/database/pool.ts';
import { checkReplication } from '../shared/database/replication.ts';
import { driverSchema } from '../shared/database/schema/driver.ts';
import { asCodedError, CodedError } from '../shared/errors.ts';
import { workerEnvironment } from '../shared/ipc.ts';
import { readKeyRing } from '../shared/key-ring-files.ts';
import { createLog, type Log } from '../shared/log.ts';
import { createReleasers, type Releasers } from '../shared/releasers.ts';
import { version } from '../shared/version.ts';
import { createApiClient } from './api-client.ts';
import { createApiTransport } from './api-transport.ts';
import { createWorkerChain } from './audit/worker-chain.ts';
import { createDriverDatabase } from './database.ts';
import { type Ending, leave, listenForEnd } from './ending.ts';
import { openHsm } from './hsm/session-threads.ts';
import { openLocalResults } from './pin-guard/local-results.ts';
import { createPinGuard } from './pin-guard/pin-guard.ts';
import { openPolicy } from './policy/open-policy.ts';
import { connectToPrimary, type PrimaryLink } from './primary-link.ts';
import { startPulse } from './pulse.ts';
import { apiFacts, idleReport, slotFacts } from './report.ts';
import { refuseRetiredKeys } from './retired-keys.ts';
import { serveRotation } from './serve-rotation.ts';
import { createSlotState } from './slot-state.ts';
import { startWork, type Working } from './start-work.ts';

/**
 * The worker process: owner of one HSM slot. Forked by the primary, which tells it by two environment variables the
 * configuration and which slot; it reads the files that are named there itself. The only process that opens a PIN.
 */
const instance = randomUUID();
/** The end waits so long for a first login: with what is released after it, less than the primary's patience. */
const loginLimitMs = 2_000;
const ending = Promise.withResolvers<Ending>();
listenForEnd(ending.resolve);
let deviceSuspect = (): void => {};
let hsmWork: Working['hsmWork'] = async () => ({ done: false, why: 'not-ready' });
const link = connectToPrimary({
  onStop: () => ending.resolve({ why: 'asked' }),
  onLost: () => ending.resolve({ why: 'orphaned' }),
  onDeviceSuspect: () => deviceSuspect(),
  onHsmWork: (work) => hsmWork(work),
});
link.send({ type: 'started', instance });
const pulse = startPulse(link);

const slotName = process.env[workerEnvironment.slot] ?? '';
let log = createLog('info', { slot: slotName });
const releasers = createReleasers((what, error) => log.warn({ what, cause: (error as Error).message }, 'not released'));

start().catch((error) => ending.resolve({ why: 'fault', error: asCodedError(error) }));
void ending.promise.then((why) => leave(why, releasers, link, log));

async function start(): Promise<void> {
  const configuration = driverConfiguration.parse(JSON.parse(process.env[workerEnvironment.configuration] ?? ''));
  const slot = configuration.slots.find((one) => one.name === slotName);
  if (slot === undefined)
    throw new CodedError('CONFIG_INVALID', `there is no slot ${JSON.stringify(slotName)} any more`);
  log = createLog(configuration.log.level, { node: configuration.node, slot: slot.name });
  await run({ configuration, slot, log, link, releasers });
}

interface Parts {
  readonly configuration: DriverConfiguration;
  readonly slot: SlotConfiguration;
  readonly log: Log;
  readonly link: PrimaryLink;
  readonly releasers: Releasers;
}

/** Acquires everything in order; `releasers` undo it in reverse. */
async function run({ configuration, slot, log, link, releasers }: Parts): Promise<void> {
  const begun = performance.now();
  const state = createSlotState(log);
  state.onChange((now) => link.send({ type: 'state', state: now }));
  void ending.promise.then(() => state.to('stopping'));

  // Everything that is read from files, before anything is touched.
  const ring = readKeyRing(configuration);
  const { masterKey, integrityKey } = ring.current;
  const attestationKey = attestationPublicKey(ring.current.attestationKey.publicKey);
  const local = openLocalResults(configuration.stateDirectory);
  const transport = configuration.api && createApiTransport(configuration.api, log);
  releasers.add('API connections', () => transport?.close(), 200);

  // Database.
  const applicationName = `hsm-driver worker ${configuration.node} ${slot.name}`;
  const pool = createPool(configuration.database, { applicationName, max: 2, durability: 'durable' }, log);
  releasers.add('database connections', () => pool.end(), 300);
  await checkSchema(pool, configuration.database, driverSchema);
  await refuseRetiredKeys(pool, ring);
  await checkReplication(pool, configuration.database);
  const database = createDriverDatabase(pool, configuration.database, log);
  const policy = openPolicy(configuration, slot.name, attestationKey, database, log);
  releasers.add('policy', () => policy.state.stop());

  const threads = { total: slot.sessions, busy: 0 };
  const outside = () => ({
    state: state.now,
    ...apiFacts(transport),
  });
  pulse.report(() => ({ ...idleReport, ...outside(), threads }));

  // HSM.
  const turn = {
    take: () => link.takeTurn(),
    done: () => {
      link.endTurn();
      state.to('probing');
    },
  };
  const { node, keyStore } = configuration;
  const pins = createPinGuard({ database, local, slot, node, instance, log });
  const { firstLogin, knownRefusals } = pins;
  // Above the database, which has to hear of it.
  releasers.add('login', () => pins.stop(), loginLimitMs);
  const purpose = configuration.rotation === undefined ? 'signing' : 'rotation';
  const hsm = await openHsm({ slot, ring, purpose, turn, firstLogin, knownRefusals, log, watch: pulse.watch });
  releasers.add('HSM', () => hsm.stop(), 500);

  // Work.
  const { capabilities, token } = hsm;
  const writer = { slot: slot.name, instance };
  const origin = { keyStore, node, slot: slot.name, masterKeyId: masterKey.id };
  const audit = createWorkerChain(database, instance, origin, { version: version(), token: token.serial });
  // Nobody waits for its first entry: whatever is written later is written after it.
  audit.append().catch((error: Error) => log.warn({ cause: error.message }, 'audit chain not opened'));
  const fail = async (error: CodedError): Promise<void> => {
    // Before anything else: no other process must try it again.
    if (error.code === 'PIN_REFUSED') await pins.refusedLater(error.detail);
    ending.resolve({ why: 'fault', error });
  };
  const parts = {
    keyStore,
    threads: hsm.sessions,
    keepAliveMs: slot.keepAliveMs,
    masterKeyId: masterKey.id,
    integrityKeyId: integrityKey.id,
    onDeviceFault: ({ code, detail }: CodedError) => link.send({ type: 'device-fault', code, message: detail }),
    hsm,
    database,
    state,
    fail,
    releasers,
    log,
  };
  const work =
    transport === undefined
      ? serveRotation(parts)
      : startWork({
          ...parts,
          api: createApiClient(transport, { instance, slot: slot.name, capabilities: [...capabilities] }),
          writer,
          audit,
          policy,
        });
  deviceSuspect = work.deviceSuspect;
  hsmWork = work.hsmWork;
  const opened = slotFacts(hsm, ring);
  for (const warning of opened.warnings ?? []) log.warn({ warning }, 'slot works with a reservation');
  pulse.report(() => ({
    ...outside(),
    ...work.facts(),
    threads: {
      total: hsm.sessions,
      busy: hsm.busyThreads(),
      ...(slot.measureCpu ? { pkcs11CpuMs: hsm.pkcs11CpuMs() } : {}),
    },
    slot: opened,
  }));
  log.info(
    {
      token: token.label,
      serial: token.serial,
      masterKey: masterKey.id,
      capabilities,
      ms: Math.round(performance.now() - begun),
    },
    'slot ready',
  );
}
