import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createReleasers } from '../../src/shared/releasers.ts';
import { repository, standardDirectory } from './places.ts';
import type { LocalProcess } from './processes.ts';
import { type LocalSystem, startSystem } from './system.ts';

/**
 * `npm start`: the whole system on this machine, with real parts, then sample work, verified by others' libraries.
 *
 *   --once            stop after the sample work; exit code 0 only if everything was verified
 *   --directory DIR   keep all state there instead of in .local
 */
const { values: options } = parseArgs({
  options: { once: { type: 'boolean', default: false }, directory: { type: 'string', default: standardDirectory } },
});
const standardPorts = { application: 8443, driver: 8444 };
const anyPorts = { application: 0, driver: 0 };

const startedAt = performance.now();
const releasers = createReleasers((what, error) => say(`${what} did not stop: ${(error as Error).message}`));
const stopAsked = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopAsked.abort());
// The process that set us up is gone: so is whoever looked at us.
process.on('disconnect', () => stopAsked.abort());

try {
  await Promise.race([work(), untilStopAsked()]);
} catch (error) {
  process.exitCode = 1;
  process.stderr.write(`\n${(error as Error).message}\n`);
}
await releasers.release();
// Not only because the channel to the process that set us up keeps us alive: a start that was interrupted in the middle
// must not go on behind our back, and what it has started ends with us.
process.exit();

async function work(): Promise<void> {
  const { module } = JSON.parse(readFileSync(join(repository, '.cache/setup/facts.json'), 'utf8')) as {
    module: string;
  };
  say('Starting');
  const system = await startSystem({
    directory: resolve(options.directory),
    module,
    ports: options.directory === standardDirectory ? standardPorts : anyPorts,
    durable: true,
    enforced: true,
    say: (line) => say(`  ${line}`),
    releasers,
  });
  say('\nSample work, through @dfns/sdk');
  await runSample(system);
  say(`\nAll verified, ${((performance.now() - startedAt) / 1000).toFixed(1)} s after the start.`);
  if (options.once) return;

  say('Running. Ctrl-C stops everything; the keys stay.');
  const ended = await Promise.race([system.api, ...system.nodes].map(untilEnded));
  throw new Error(`${ended.name} ended by itself; see its log in ${system.places.shown(system.places.logs)}`);
}

async function runSample({ places, client }: LocalSystem): Promise<void> {
  const child = spawn(process.execPath, [join(repository, 'scripts/local/sample.ts'), places.client, places.samples], {
    cwd: repository,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, NODE_EXTRA_CA_CERTS: client.caFile },
  });
  releasers.add('sample work', () => child.kill('SIGKILL'));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error('the sample work failed; see above');
}

async function untilEnded(child: LocalProcess): Promise<LocalProcess> {
  await child.exited;
  return child;
}

function untilStopAsked(): Promise<void> {
  return new Promise((resolve) => stopAsked.signal.addEventListener('abort', () => resolve(), { once: true }));
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
