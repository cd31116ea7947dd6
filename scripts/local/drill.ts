import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse, stringify } from 'yaml';
import { startPostgres } from '../setup/postgres.js';
import { openDatabases } from './databases.ts';
import { keyStore } from './installation.ts';
import { openOperator, operatorName } from './operator.ts';
import { placesBelow, standardDirectory } from './places.ts';
import { fromSources } from './processes.ts';
import { openSecrets } from './secrets.ts';

/**
 * Drills a disaster on the local installation while it runs: a backup of its driver database, another PostgreSQL server
 * with an empty one, and the restore into it, proven on an HSM. Node 2's software token stands in for the spare HSM.
 * Afterwards the other server is gone; the backup stays.
 */
const { values: options } = parseArgs({ options: { directory: { type: 'string', default: standardDirectory } } });
const places = placesBelow(options.directory);
const node = (n: number): string => join(places.node(n), 'config.yaml');
if (!existsSync(node(2))) throw new Error('there is no local installation: npm start makes it');

const backups = join(places.root, 'backups');
mkdirSync(backups, { recursive: true, mode: 0o700 });
const backup = join(backups, `${new Date().toISOString().replaceAll(':', '-')}.jsonl`);
const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-drill-'));
const server = await startPostgres({ dataDirectory: join(directory, 'data'), durable: false });
try {
  const { driver: database } = await openDatabases(server, openSecrets(join(directory, 'secrets')));
  const spare = join(directory, 'spare.yaml');
  const { operations: _, ...configuration } = parse(readFileSync(node(2), 'utf8')) as Record<string, unknown>;
  const stateDirectory = join(directory, 'state');
  writeFileSync(spare, stringify({ ...configuration, node: 'spare', database, stateDirectory }));
  await hsmDriver('backup', '--config', node(1), '--out', backup);
  await hsmDriver('migrate', '--config', spare);
  const ordered = configuration.operators === undefined ? [] : ['--order', await order(backup)];
  await hsmDriver('restore', '--config', spare, '--backup', backup, '--drill', ...ordered);
} finally {
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}

/** Where operators are configured a restore takes their order: the local installation has one operator. */
async function order(backup: string): Promise<string> {
  const file = join(directory, 'order.json');
  const [manifest = ''] = readFileSync(backup, 'utf8').split('\n', 1);
  const { backup: subject } = JSON.parse(manifest) as { backup: string };
  const about = ['--key-store', keyStore, '--kind', 'restore', '--subject', subject, '--document', backup];
  await hsmDriver('order', 'new', ...about, '--reason', 'drill', '--out', file);
  const { privateKeyFile } = openOperator(places);
  const by = ['--operator', operatorName, '--private-key', privateKeyFile];
  await hsmDriver('order', 'sign', '--order', file, ...by, '--yes');
  return file;
}

/** As a person would type it, with what it prints. */
async function hsmDriver(...words: readonly string[]): Promise<void> {
  process.stdout.write(`\n$ hsm-driver ${words.map(places.shown).join(' ')}\n`);
  const [program = '', ...args] = fromSources;
  const child = spawn(program, [...args, ...words], { stdio: ['ignore', 'inherit', 'inherit'] });
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`hsm-driver ${words[0]} ended with exit code ${code}`);
}
