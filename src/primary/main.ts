import cluster from 'node:cluster';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DriverConfiguration, driverConfiguration } from '../shared/configuration/driver.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import { asCodedError } from '../shared/errors.ts';
import { exitCodes } from '../shared/exit-codes.ts';
import { createLog, type Log } from '../shared/log.ts';
import { programFile } from '../shared/program-files.ts';
import { version } from '../shared/version.ts';
import { problemsBeforeStart } from './check-files.ts';
import { createDriverNode, type DriverNode, refuse } from './node.ts';
import { onSignals } from './signals.ts';

/**
 * A worker’s requests live for milliseconds. With the default of 16 MB (three such spaces) each worker holds 20 to 60 MB of
 * garbage before anybody looks.
 */
const youngGenerationMb = 4;

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
  const [problem] = problemsBeforeStart(configuration);
  if (problem !== undefined) throw problem;

  const log = createLog(configuration.log.level, { node: configuration.node });
  cluster.setupPrimary({
    // Named, not imported: the primary shares no code with the worker.
    exec: fileURLToPath(programFile('worker/main')),
    args: [],
    // SIGUSR1 would open Node's inspector in the process that holds the PIN. A profiler (npm run profile) goes along.
    execArgv: [
      '--disable-sigusr1',
      `--max-semi-space-size=${youngGenerationMb}`,
      ...process.execArgv.filter((one) => one.startsWith('--cpu-prof')),
    ],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const node = createDriverNode(configuration, version(), log);
  const asked = Promise.withResolvers<undefined>();
  const running = Promise.withResolvers<void>();
  const forgetSignals = onSignals({
    first(signal) {
      log.info({ signal }, 'stopping');
      asked.resolve(undefined);
    },
    second: () => node.kill(),
    reload: reloads(file, node, running.promise, log),
  });
  log.info(started(configuration), 'driver started');
  // With all slots latched nothing else keeps this process: it must stay, see restart-policy.ts.
  const stay = setInterval(() => {}, 2 ** 31 - 1);
  try {
    await node.start();
    running.resolve();
    const fault = await Promise.race([asked.promise, node.hopeless]);
    await node.stop();
    if (fault !== undefined) throw fault;
    log.info('stopped');
    return exitCodes.OK.code;
  } finally {
    clearInterval(stay);
    forgetSignals();
  }
}

/** Reads the file again at each call, one after the other; whatever is wrong with it, the node goes on as it was. */
function reloads(file: string, node: DriverNode, running: Promise<void>, log: Log): () => void {
  async function reload(): Promise<void> {
    try {
      const wanted = loadConfiguration(file, driverConfiguration);
      const problems = problemsBeforeStart(wanted);
      if (problems.length > 0)
        return refuse(
          log,
          problems.map((one) => one.message),
        );
      log.info(started(wanted), 'configuration read again');
      await node.reload(wanted);
    } catch (error) {
      refuse(log, [asCodedError(error).message]);
    }
  }
  let last = running;
  return () => {
    last = last.then(reload);
  };
}

function started({ keyStore, slots }: DriverConfiguration): Record<string, unknown> {
  return { keyStore, slots: slots.map((slot) => slot.name), version: version() };
}
