import cluster from 'node:cluster';
import { createRequire } from 'node:module';
import { extname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { driverConfiguration } from '../shared/configuration/driver.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import { exitCodes } from '../shared/exit-codes.ts';
import { createLog } from '../shared/log.ts';
import { checkFiles } from './check-files.ts';
import { createReleaseClient } from './release-client.ts';
import { onStopSignals } from './signals.ts';
import { createStartUpTurns } from './start-up-turns.ts';
import { createSupervisor } from './supervisor.ts';
import { forkWorker } from './worker-handle.ts';

/**
 * `hsm-driver run`: the primary of one node. It supervises one worker process per HSM slot, loads no PKCS#11 library
 * and opens no PIN: a vendor library that crashes or hangs takes a worker with it, never this process.
 *
 * @returns the exit code of a stop that was asked for.
 * @throws CodedError for a fault that an operator must mend; its catalogue entry gives the exit code.
 */
export async function runPrimary(configFile: string): Promise<number> {
  const file = resolve(configFile);
  const configuration = loadConfiguration(file, driverConfiguration);
  checkFiles(configuration);

  const { node, keyStore, slots, api } = configuration;
  const log = createLog(configuration.log.level, { node });
  cluster.setupPrimary({
    exec: workerFile(),
    args: [],
    // SIGUSR1 would open Node's inspector in the process that holds the PIN.
    execArgv: ['--disable-sigusr1'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const supervisor = createSupervisor({
    slots,
    fork: (slot, listener) => forkWorker(file, slot, listener),
    turns: createStartUpTurns(),
    releases: createReleaseClient(api, log),
    log,
  });

  const asked = Promise.withResolvers<undefined>();
  const forgetSignals = onStopSignals({
    first(signal) {
      log.info({ signal }, 'stopping');
      asked.resolve(undefined);
    },
    second: () => supervisor.kill(),
  });
  log.info({ keyStore, slots: slots.map((slot) => slot.name), version: version() }, 'driver started');
  supervisor.start();
  // With all slots latched nothing else keeps this process: it must stay, see restart-policy.ts.
  const stay = setInterval(() => {}, 2 ** 31 - 1);
  try {
    const fault = await Promise.race([asked.promise, supervisor.hopeless]);
    await supervisor.stop();
    if (fault !== undefined) throw fault;
    log.info('stopped');
    return exitCodes.OK.code;
  } finally {
    clearInterval(stay);
    forgetSignals();
  }
}

/** Named, not imported: the primary shares no code with the worker. `.ts` from the sources, `.js` from a build. */
function workerFile(): string {
  return fileURLToPath(new URL(`../worker/main${extname(import.meta.filename)}`, import.meta.url));
}

function version(): string {
  return (createRequire(import.meta.url)('../../package.json') as { version: string }).version;
}
