import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SetupError } from './command.js';
import { freePort } from './free-port.js';
import { takeLock } from './lock.js';
import { postgresEnvironment, prepareData } from './postgres-data.js';
import { chooseLauncher } from './postgres-launcher.js';
import { stopLeftover } from './postgres-leftover.js';

/**
 * Starts a PostgreSQL server of our own on 127.0.0.1; types and meaning of everything are in postgres.d.ts.
 * @param {import('./postgres.d.ts').PostgresOptions} options
 * @returns {Promise<import('./postgres.d.ts').PostgresServer>}
 */
export async function startPostgres(options) {
  const { port, durable = true, log = () => {} } = options;
  const wanted = resolve(options.dataDirectory);
  const lock = takeLock(`${wanted}.owner`);
  if (lock.release === undefined) {
    throw new SetupError(`the database in ${wanted} is in use by process ${lock.owner}: stop that first`);
  }
  try {
    const launcher = await chooseLauncher(wanted, log);
    const { dataDirectory } = launcher;
    const logFile = `${wanted}.log`;
    const passwordFile = `${wanted}.password`;
    await stopLeftover(dataDirectory, log);
    const superuserPassword = await prepareData(launcher, passwordFile, durable);
    const server = await startOnSomePort(launcher, { port, durable, logFile });
    return {
      ...{ host: '127.0.0.1', port: server.port, pid: server.child.pid, superuser: 'postgres', superuserPassword },
      ...{ dataDirectory, logFile, passwordFile, exited: server.exited },
      stop: stopper(server, lock.release),
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** PostgreSQL cannot choose a free port itself, and ours may be taken between finding and using it: then another one. */
async function startOnSomePort(launcher, { port, durable, logFile }) {
  for (let attempt = 1; ; attempt++) {
    const chosen = port ?? (await freePort());
    const server = startServer(launcher, chosen, durable, logFile);
    if (await isReady(server, launcher.dataDirectory)) return server;

    const said = readFileSync(logFile, 'utf8').slice(server.logStart).trim();
    const taken = /could not bind IPv4 address/.test(said);
    // Backends of a server that was killed end by themselves within moments, but not before us.
    const lingering = /shared memory block .* is still in use/.test(said);
    if (attempt >= 5 || !((taken && port === undefined) || lingering)) {
      throw new SetupError(`PostgreSQL did not start on 127.0.0.1:${chosen} (log: ${logFile}):\n${said.slice(-1500)}`);
    }
    if (lingering) await sleep(500);
  }
}

function startServer({ dataDirectory, programs, wrap, endsWithUs }, port, durable, logFile) {
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 200,
    log_min_messages: 'warning',
    log_checkpoints: 'off',
    // A crash of the machine may lose or break the database then: for tests only.
    ...(!durable && { fsync: 'off', full_page_writes: 'off' }),
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const { command, args, ids } = wrap(programs.postgres, ['-D', dataDirectory, ...flags]);
  if (existsSync(logFile) && statSync(logFile).size > 5_000_000) renameSync(logFile, `${logFile}.old`);
  const logStart = existsSync(logFile) ? statSync(logFile).size : 0;
  // A file, not a pipe: a pipe would break when we are killed. Its own session: Ctrl-C in the terminal is for us to handle.
  const output = openSync(logFile, 'a', 0o600);
  const child = spawn(command, args, {
    ...ids,
    cwd: '/',
    env: postgresEnvironment(),
    stdio: ['ignore', output, output],
    detached: true,
  });
  closeSync(output);
  const exited = new Promise((done) => {
    child.once('error', (error) => done({ code: null, signal: null, error }));
    child.once('exit', (code, signal) => done({ code, signal }));
  });
  if (!endsWithUs && child.pid !== undefined) watch(child);
  return { child, port, exited, logStart };
}

/** Where the kernel has no death signal: a shell at the other end of a pipe ends the server when the pipe breaks. */
function watch(server) {
  const script = 'read -r line; kill -INT "$1"';
  const options = { stdio: ['pipe', 'ignore', 'ignore'], detached: true };
  const shell = spawn('/bin/sh', ['-c', script, 'sh', String(server.pid)], options);
  shell.once('error', () => {});
  shell.stdin.unref?.();
  shell.unref();
  // The server's process id may be another process's by the time the pipe breaks.
  server.once('exit', () => shell.kill('SIGKILL'));
}

/** Ready is what the server itself writes into postmaster.pid (line 8), under its own process id (line 1). */
async function isReady({ child, exited }, dataDirectory) {
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  const deadline = Date.now() + 60_000;
  while (!ended && Date.now() < deadline) {
    const lines = readLines(join(dataDirectory, 'postmaster.pid'));
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') {
      // From here on a forgotten server does not keep this process alive, and ends with it.
      child.unref();
      return true;
    }
    await sleep(15);
  }
  if (!ended) child.kill('SIGQUIT');
  await exited;
  return false;
}

function readLines(file) {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

/** SIGINT ends sessions and writes everything down; SIGQUIT leaves it to the next start to recover. */
function stopper({ child, exited }, release) {
  let stopping;
  return () => {
    stopping ??= (async () => {
      child.ref();
      for (const [signal, patience] of Object.entries({ SIGINT: 15_000, SIGQUIT: 5_000, SIGKILL: 5_000 })) {
        child.kill(signal);
        const waiting = new AbortController();
        const timeout = sleep(patience, 'late', { signal: waiting.signal }).catch(() => 'late');
        if ((await Promise.race([exited, timeout])) !== 'late') {
          waiting.abort();
          break;
        }
      }
      release();
    })();
    return stopping;
  };
}
