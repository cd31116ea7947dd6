import { execFile } from 'node:child_process';
import { chmodSync, cpSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { parse, stringify } from 'yaml';
import type { NodeFile } from '../scripts/local/installation.ts';
import { onItsOwn } from '../scripts/local/processes.ts';
import type { Examined } from '../src/doctor/check.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import { openSystem } from './support/system.ts';

/** `hsm-driver doctor` on what `npm start` runs, whole and with one thing broken at a time. */
t.setTimeout(400_000);
const cli = resolve(import.meta.dirname, '../src/cli/main.ts');
const system = await openSystem(t);
const config = join(system.places.node(1), 'config.yaml');

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function doctor(file: string, ...options: readonly string[]): Promise<Ended> {
  const [program = '', ...args] = onItsOwn([process.execPath, cli, 'doctor', '--config', file, ...options]);
  try {
    return { code: 0, ...(await promisify(execFile)(program, args)) };
  } catch (error) {
    return error as Ended;
  }
}

async function findings(file: string): Promise<{ code: number; all: readonly Examined[] }> {
  const { code, stdout, stderr } = await doctor(file, '--json');
  try {
    return { code, all: JSON.parse(stdout) as Examined[] };
  } catch {
    throw new Error(`no JSON: ${stdout} ${stderr}`);
  }
}

/** A copy of the node's configuration with something changed, beside it. */
function changed(name: string, change: (configuration: NodeFile) => object): string {
  const file = join(system.places.node(1), `${name}.yaml`);
  writeFileSync(file, stringify(change(parse(readFileSync(config, 'utf8')))));
  return file;
}

const of = (all: readonly Examined[], level: Examined['level']): readonly string[] =>
  all.filter((one) => one.level === level).map(({ check, found }) => `${check}: ${found}`);

t.test('a sound node has no problem, and every part of it was looked at', async (t) => {
  const { code, all } = await findings(config);
  t.equal(code, 0);
  t.same(of(all, 'problem'), []);
  t.same(of(all, 'skipped'), []);
  t.same(
    [...new Set(all.map(({ check }) => check))],
    [
      'process',
      'files',
      'state directory',
      'operators and authorisations',
      'ceremony file',
      'client certificate',
      'database',
      'database schema',
      'database role',
      'database safety',
      'database connections',
      `signing API https://127.0.0.1:${system.ports.driver}`,
      'HSM hsm-1',
      'operations address',
      'running node',
    ],
  );
  t.ok(of(all, 'good').includes('running node: slot hsm-1 is ready (proven; takes work)'));
});

t.test('a sound API has no problem', async (t) => {
  const { code, all } = await findings(system.places.apiConfig);
  t.equal(code, 0);
  t.same(of(all, 'problem'), []);
  t.ok(all.some(({ check, level }) => check === 'database role' && level === 'good'));
});

t.test('people read what to do below each problem, and where to begin', async (t) => {
  const { code, stdout } = await doctor(
    changed('no-token', (configuration) => {
      const [slot] = configuration.slots;
      return { ...configuration, slots: [{ ...slot, tokenLabel: 'nobody' }] };
    }),
  );
  t.equal(code, exitCodes.UNSOUND.code);
  t.match(
    stdout,
    /FAIL {2}HSM hsm-1: No token has the configured label: “nobody”; .*\n {6}→ Correct slots\[\]\.tokenLabel/,
  );
  t.match(stdout, /\n1 problem, \d+ warnings?; begin with: HSM hsm-1\n$/);
});

t.test('what rests on a broken thing is not looked at', async (t) => {
  const file = changed('no-module', (configuration) => {
    const [slot] = configuration.slots;
    return { ...configuration, slots: [{ ...slot, module: '/nowhere/libpkcs11.so' }] };
  });
  const { code, all } = await findings(file);
  t.equal(code, exitCodes.UNSOUND.code);
  t.match(of(all, 'problem'), [/^files: The PKCS#11 module cannot be loaded: \/nowhere\/libpkcs11\.so/]);
  t.ok(of(all, 'skipped').some((one) => one.startsWith('HSM hsm-1')));
  t.ok(of(all, 'skipped').some((one) => one.startsWith('database:')));
});

t.test('a database that is not there is one problem, and the API is looked at all the same', async (t) => {
  const file = changed('no-database', (configuration) => ({
    ...configuration,
    database: { ...configuration.database, port: 1 },
  }));
  const { all } = await findings(file);
  t.match(of(all, 'problem'), [/^database: The database cannot be reached/]);
  t.ok(of(all, 'good').some((one) => one.startsWith('signing API')));
});

t.test('a stranger’s certificate, and a key of another certificate, are told apart', async (t) => {
  const other = join(system.places.node(2), 'config.yaml');
  const { api } = parse(readFileSync(other, 'utf8')) as { api: Record<string, string> };
  const halfRenewed = changed('half-renewed', (configuration) => ({
    ...configuration,
    api: { ...configuration.api, certificateFile: api.certificateFile },
  }));
  const half = await findings(halfRenewed);
  t.match(of(half.all, 'problem'), [/^client certificate: .* is not the key of /]);
  const stranger = await system.authorities.application.issue('node-1', 'client');
  const strangers = changed('stranger', (configuration) => ({
    ...configuration,
    api: { ...configuration.api, ...stranger },
  }));
  const refused = await findings(strangers);
  t.match(of(refused.all, 'problem'), [/^signing API .*: it answers 401: No valid client certificate/]);
});

t.test('a role that may delete from the journal is a problem', async (t) => {
  const { owner, ...database } = system.databases.driver;
  t.ok(owner);
  const file = changed('owner', (configuration) => ({
    ...configuration,
    database: { ...database, user: owner?.user, passwordFile: owner?.passwordFile },
  }));
  const { all } = await findings(file);
  t.ok(of(all, 'problem').some((one) => one.startsWith('database role: the runtime role may change rows of journal')));
});

t.test('a PIN file that others can read, and a library that others can replace', async (t) => {
  const [slot] = (parse(readFileSync(config, 'utf8')) as { slots: { pinFile: string; module: string }[] }).slots;
  const open = join(system.places.root, 'open');
  const pin = `${open}.pin`;
  writeFileSync(pin, 'not the PIN');
  chmodSync(pin, 0o644);
  const { all: unsafe } = await findings(
    changed('open-pin', (configuration) => ({ ...configuration, slots: [{ ...slot, pinFile: pin }] })),
  );
  t.match(of(unsafe, 'problem'), [/^files: A secret file can be read by everybody: slots\[0\]\.pinFile/]);

  const module = `${open}.so`;
  cpSync(slot?.module ?? '', module);
  chmodSync(module, 0o666);
  const { code, all } = await findings(
    changed('open-module', (configuration) => ({ ...configuration, slots: [{ ...slot, module }] })),
  );
  t.equal(code, 0, 'works, and is warned of');
  t.ok(of(all, 'warning').some((one) => one.includes('can replace the PKCS#11 library')));
});

t.test('an HSM that is gone shows in its token and in the running node, which is not asked for a login', async (t) => {
  const tokens = join(system.places.token(1), 'tokens');
  renameSync(tokens, `${tokens}.gone`);
  t.teardown(() => renameSync(`${tokens}.gone`, tokens));
  const { code, all } = await findings(config);
  t.equal(code, exitCodes.UNSOUND.code);
  t.ok(of(all, 'problem').some((one) => one.startsWith('HSM hsm-1: ')));
});

t.test('the node’s processes leave no memory in core dumps', async (t) => {
  const node = system.nodes[0]?.pid;
  const filter = readFileSync(`/proc/${node}/coredump_filter`, 'utf8');
  t.equal(Number.parseInt(filter, 16), 0);
});
