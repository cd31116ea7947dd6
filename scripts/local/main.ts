import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startPostgres } from '../setup/postgres.js';
import { openAuthority } from './certificates.ts';
import { openClient } from './client.ts';
import { openDatabases } from './databases.ts';
import { choosePorts, holdCeremony, nodeNumbers, openTokens, writeConfigurations } from './installation.ts';
import { places as placesBelow, repository } from './places.ts';
import { type LocalProcess, runCommand, startDriverProcess } from './processes.ts';
import { openSecrets } from './secrets.ts';

/**
 * `npm start`: the whole system on this machine, with real parts: PostgreSQL, two software tokens that share a master
 * key, the signing API and two driver nodes. Then sample work, verified by others' libraries. `--once` stops after it.
 */
const once = process.argv.includes('--once');
const startedAt = performance.now();
/** What is running, by the order in which it is stopped: who works, who gives work, what both stand on. */
const running = { work: [] as Stop[], api: [] as Stop[], database: [] as Stop[] };
type Stop = () => Promise<void>;
const stopAsked = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopAsked.abort());
// The process that set us up is gone: so is whoever looked at us.
process.on('disconnect', () => stopAsked.abort());

let exitCode = 0;
try {
  await start();
} catch (error) {
  if (!stopAsked.signal.aborted) {
    exitCode = 1;
    process.stderr.write(`\n${(error as Error).message}\n`);
  }
}
await stopEverything();
process.exitCode = exitCode;
// The channel to the process that set us up would keep us alive.
if (process.connected) process.disconnect?.();

async function start(): Promise<void> {
  const places = placesBelow(join(repository, '.local'));
  mkdirSync(places.root, { recursive: true });
  const facts = JSON.parse(readFileSync(join(repository, '.cache/setup/facts.json'), 'utf8')) as { module: string };
  const secrets = openSecrets(places.secrets);
  const installation = { places, secrets, module: facts.module };

  say('Starting');
  const server = await startPostgres({ dataDirectory: places.postgres, log: (line) => say(`  ${line}`) });
  running.database.push(() => server.stop());
  const databases = await openDatabases(server, secrets);
  say(`  PostgreSQL         127.0.0.1:${server.port}, databases ${databases.api.name} and ${databases.driver.name}`);

  await openTokens(installation);
  await holdCeremony(installation);
  say(
    `  HSMs               ${nodeNumbers.map((n) => `hsm-${n}`).join(' and ')} (software tokens), one master key, ${relative(places.ceremonyFile)}`,
  );

  const ports = await choosePorts(places);
  const authorities = {
    application: await openAuthority(places.applicationCertificates, 'Local application CA'),
    drivers: await openAuthority(places.driverCertificates, 'Local driver CA'),
  };
  await writeConfigurations(installation, authorities, databases, ports);
  const nodeConfig = (n: number): string => join(places.node(n), 'config.yaml');
  await Promise.all([
    runCommand(['migrate', '--config', places.apiConfig]),
    runCommand(['migrate', '--config', nodeConfig(1)]),
  ]);

  const api = run(running.api, 'api', ['api', '--config', places.apiConfig], join(places.logs, 'api.log'));
  await untilLine(api, 'signing API started');
  const baseUrl = `https://127.0.0.1:${ports.application}`;
  say(
    `  Signing API        ${baseUrl} (applications), https://127.0.0.1:${ports.driver} (drivers), ${relative(places.apiConfig)}`,
  );

  const nodes = nodeNumbers.map((n) =>
    run(running.work, `node-${n}`, ['run', '--config', nodeConfig(n)], join(places.logs, `node-${n}.log`)),
  );
  const [client] = await Promise.all([
    openClient(places, baseUrl, authorities.application.certificateFile),
    ...nodes.map((node) => untilLine(node, 'slot ready')),
  ]);
  for (const [index, node] of nodes.entries())
    say(`  Driver ${node.name}      hsm-${index + 1}, ${relative(nodeConfig(index + 1))}`);
  say(`  Client             ${relative(places.client)} (organisation ${client.orgId})`);
  say(`  Logs               ${relative(places.logs)}\n`);

  say('Sample work, through @dfns/sdk');
  await runSample(places.client, places.samples, client.caFile);
  say(`\nAll verified, ${((performance.now() - startedAt) / 1000).toFixed(1)} s after the start.`);
  if (once || stopAsked.signal.aborted) return;

  say('Running. Ctrl-C stops everything; the keys stay.');
  const ended = await Promise.race([untilStopAsked(), ...[api, ...nodes].map(untilEnded)]);
  if (ended !== undefined) throw new Error(`${ended.name} ended by itself; see its log in ${relative(places.logs)}`);
}

function run(group: Stop[], name: string, args: readonly string[], logFile: string): LocalProcess {
  const child = startDriverProcess(name, args, logFile);
  group.push(() => child.stop());
  return child;
}

function untilLine(child: LocalProcess, sentence: string): Promise<unknown> {
  return Promise.race([child.line(sentence), untilStopAsked().then(() => Promise.reject(new Error('stopped')))]);
}

async function untilEnded(child: LocalProcess): Promise<LocalProcess> {
  await child.exited;
  return child;
}

function untilStopAsked(): Promise<undefined> {
  return new Promise((resolve) => {
    if (stopAsked.signal.aborted) resolve(undefined);
    else stopAsked.signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

async function runSample(clientFile: string, keysFile: string, caFile: string): Promise<void> {
  const child = spawn(process.execPath, [join(repository, 'scripts/local/sample.ts'), clientFile, keysFile], {
    cwd: repository,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, NODE_EXTRA_CA_CERTS: caFile },
  });
  running.work.push(async () => void child.kill('SIGKILL'));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error('the sample work failed; see above');
}

async function stopEverything(): Promise<void> {
  for (const group of [running.work, running.api, running.database]) {
    for (const result of await Promise.allSettled(group.map((stop) => stop()))) {
      if (result.status === 'rejected') process.stderr.write(`while stopping: ${String(result.reason)}\n`);
    }
  }
}

function relative(path: string): string {
  return path.startsWith(`${repository}/`) ? path.slice(repository.length + 1) : path;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
