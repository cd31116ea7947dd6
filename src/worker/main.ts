import { randomUUID } from 'node:crypto';
import { readCeremonyFile } from '../shared/ceremony-file.ts';
import { type DriverConfiguration, driverConfiguration } from '../shared/configuration/driver.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import { checkSchema } from '../shared/database/migrate.ts';
import { createPool } from '../shared/database/pool.ts';
import { driverSchema } from '../shared/database/schema/driver.ts';
import { asCodedError, CodedError } from '../shared/errors.ts';
import { workerEnvironment } from '../shared/ipc.ts';
import { createLog, type Log } from '../shared/log.ts';
import { createReleasers, type Releasers } from '../shared/releasers.ts';
import { createApiClient } from './api-client.ts';
import { createApiTransport } from './api-transport.ts';
import { createDriverDatabase } from './database.ts';
import { type Ending, leave, listenForEnd } from './ending.ts';
import { openHsm } from './hsm/session-threads.ts';
import { connectToPrimary, type PrimaryLink } from './primary-link.ts';
import { createSlotState } from './slot-state.ts';
import { startWork } from './start-work.ts';

/**
 * The worker process: owner of one HSM slot. Forked by the primary, which tells it by two environment variables which
 * configuration file and which slot; it reads the rest itself. The only process that opens a PIN.
 */
const instance = randomUUID();
const ending = Promise.withResolvers<Ending>();
listenForEnd(ending.resolve);
const link = connectToPrimary(
  () => ending.resolve({ why: 'asked' }),
  () => ending.resolve({ why: 'orphaned' }),
);
link.send({ type: 'started', instance });

const slotName = process.env[workerEnvironment.slot] ?? '';
let log = createLog('info', { slot: slotName });
const releasers = createReleasers((what, error) => log.warn({ what, cause: (error as Error).message }, 'not released'));

start().catch((error) => ending.resolve({ why: 'fault', error: asCodedError(error) }));
void ending.promise.then((why) => leave(why, releasers, link, log));

async function start(): Promise<void> {
  const configuration = loadConfiguration(process.env[workerEnvironment.configFile] ?? '', driverConfiguration);
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
  const ceremony = readCeremonyFile(configuration.ceremonyFile);
  const transport = createApiTransport(configuration.api, log);
  releasers.add('API connections', () => transport.close(), 200);

  // Database.
  const applicationName = `hsm-driver worker ${configuration.node} ${slot.name}`;
  const pool = createPool(configuration.database, { applicationName, max: 2, durability: 'durable' }, log);
  releasers.add('database connections', () => pool.end(), 300);
  await checkSchema(pool, configuration.database, driverSchema);
  const database = createDriverDatabase(pool, configuration.database, log);

  // HSM.
  const turn = {
    take: () => link.takeTurn(),
    done: () => {
      link.endTurn();
      state.to('probing');
    },
  };
  const hsm = await openHsm({ slot, keyStore: configuration.keyStore, ceremony, turn, log });
  releasers.add('HSM', () => hsm.stop(), 500);

  // Work.
  const { capabilities, token } = hsm;
  const api = createApiClient(transport, { instance, slot: slot.name, capabilities: [...capabilities] });
  const { keyStore } = configuration;
  const writer = { slot: slot.name, instance, masterKeyId: ceremony.masterKey.id };
  const fail = (error: CodedError): void => ending.resolve({ why: 'fault', error });
  startWork({ keyStore, writer, threads: slot.sessions, hsm, api, database, state, fail, releasers, log });
  log.info(
    {
      token: token.label,
      serial: token.serial,
      masterKey: ceremony.masterKey.id,
      capabilities,
      ms: Math.round(performance.now() - begun),
    },
    'slot ready',
  );
}
