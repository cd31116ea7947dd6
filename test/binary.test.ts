import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { entries } from '../scripts/binary/program.ts';
import { repository } from '../scripts/local/places.ts';
import { onItsOwn } from '../scripts/local/processes.ts';
import { command, selfTestDeployment } from './support/deployment.ts';

/** The standalone binary, built and run where no Node.js is to be found. */
const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-binary-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

const supported = process.platform === 'linux' && process.arch === 'x64';
if (supported) {
  const [file = '', ...args] = onItsOwn([
    process.execPath,
    join(repository, 'scripts/binary/main.ts'),
    '--output',
    directory,
  ]);
  await promisify(execFile)(file, args, { cwd: repository });
}

t.test('everything that is started as a process or thread is an entry of the binary', async (t) => {
  const source = join(repository, 'src');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const started = files.flatMap((file) => {
    const text = readFileSync(join(source, file), 'utf8');
    return [
      ...[...text.matchAll(/programFile\('([^']+)'\)/g)].map(([, path]) => `${path}.ts`),
      ...[...text.matchAll(/startChild<\w+>\(\s*'([^']+)'/g)].map(([, path]) => join('ceremony', `${path}.ts`)),
    ];
  });
  t.ok(started.length >= 6, started.join());
  for (const file of started) t.ok(entries().includes(file), file);
});

if (!supported) {
  t.test('the binary signs', { skip: 'it is built on and for linux-x64' }, () => {});
} else {
  const binary = join(directory, 'hsm-driver');
  const unpacked = join(directory, 'unpacked');
  const program = ['env', '-i', 'PATH=/nonexistent', `HSM_DRIVER_UNPACK_DIRECTORY=${unpacked}`, binary];

  t.test('it signs without Node.js: processes, threads and native code all come out of the one file', async (t) => {
    const system = await selfTestDeployment(t, program);
    const qualified = await command(
      program,
      'qualify',
      '--config',
      join(system.places.node(1), 'config.yaml'),
      '--json',
    );
    t.equal(qualified.code, 0, qualified.errors);
  });

  /** The folder that the first run made. */
  const version = () => String(readdirSync(unpacked)[0]);
  t.test('what it unpacked is this user’s alone, one folder however many processes ran', async (t) => {
    t.equal(readdirSync(unpacked).length, 1);
    t.equal(statSync(unpacked).mode & 0o777, 0o700);
    t.equal(statSync(join(unpacked, version())).mode & 0o777, 0o700);
  });

  t.test('processes that start at once unpack without harm', async (t) => {
    const base = join(directory, 'race');
    const racing = ['env', '-i', `HSM_DRIVER_UNPACK_DIRECTORY=${base}`, binary];
    const answers = await Promise.all(Array.from({ length: 6 }, () => command(racing, '--version')));
    for (const { code, errors } of answers) t.equal(code, 0, errors);
    t.strictSame(readdirSync(base), [version()]);
  });

  t.test('a file that was changed is not run: the folder is made anew', async (t) => {
    const addon = join(unpacked, version(), 'node_modules/pkcs11js/build/Release/pkcs11.node');
    const before = readFileSync(addon);
    chmodSync(addon, 0o700);
    writeFileSync(addon, 'not what it was');
    t.equal((await command(program, '--version')).code, 0);
    t.ok(readFileSync(addon).equals(before));
    writeFileSync(join(unpacked, version(), 'node_modules/extra.js'), '');
    t.equal((await command(program, '--version')).code, 0);
    t.notOk(existsSync(join(unpacked, version(), 'node_modules/extra.js')));
  });

  t.test('a folder that others can write is refused', async (t) => {
    const open = join(directory, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const { code, errors } = await command(['env', '-i', `HSM_DRIVER_UNPACK_DIRECTORY=${open}`, binary], '--version');
    t.equal(code, 1);
    t.match(errors, /open can be written by others.*HSM_DRIVER_UNPACK_DIRECTORY/);
    t.strictSame(readdirSync(open), []);
  });

  t.test('beside it: an archive for a host, the bill of materials, and how it was built', async (t) => {
    const archive = readdirSync(directory).find((name) => name.endsWith('-linux-x64.tar.gz')) ?? '';
    const { stdout: list } = await promisify(execFile)('tar', ['-tvf', join(directory, archive)]);
    for (const file of [
      'hsm-driver',
      'systemd/hsm-driver@.service',
      'samples/api.yaml',
      'samples/nodes/luna.yaml',
      'sbom.cdx.json',
    ])
      t.match(list, new RegExp(` hsm-signing-[\\d.]+-linux-x64/${file}\n`));
    t.notMatch(list, /^[-d][rwx-]{7}w/m);

    const sbom = JSON.parse(readFileSync(join(directory, 'sbom.cdx.json'), 'utf8'));
    t.match(sbom, { bomFormat: 'CycloneDX', metadata: { component: { name: 'hsm-signing' } } });
    const names: string[] = sbom.components.map(({ purl }: { purl: string }) => purl);
    const { dependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
    for (const [name, version] of Object.entries(dependencies)) {
      const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
      t.ok(names.includes(purl), purl);
    }
    for (const absent of ['tap', 'typescript', '%40embedded-postgres/linux-x64'])
      t.notOk(
        names.some((purl) => purl.startsWith(`pkg:npm/${absent}@`)),
        absent,
      );

    t.ok(names.includes('pkg:generic/node@24.21.0'), 'and the Node.js inside');

    const statement = JSON.parse(readFileSync(join(directory, 'provenance.intoto.json'), 'utf8'));
    t.match(statement, { _type: 'https://in-toto.io/Statement/v1', predicateType: 'https://slsa.dev/provenance/v1' });
    const { stdout: sum } = await promisify(execFile)('sha256sum', [binary]);
    t.match(statement.subject, [{ name: 'hsm-driver', digest: { sha256: sum.split(' ')[0] } }, { name: archive }]);
  });

  t.test('nothing in the environment or on the command line changes how it starts', async (t) => {
    const marked = join(directory, 'marker.cjs');
    writeFileSync(marked, 'process.stdout.write("injected");');
    const env = ['env', '-i', `HSM_DRIVER_UNPACK_DIRECTORY=${unpacked}`];
    const byOptions = await command([...env, `NODE_OPTIONS=--require=${marked}`, binary], '--version');
    t.notMatch(byOptions.out, 'injected');
    // A file of its own is run for a child with a channel only, and no other file at all.
    for (const path of [marked, join(unpacked, version(), 'dist/worker/main.js')]) {
      const { code, errors } = await command([...env, binary], path);
      t.equal(code, 2);
      t.match(errors, /there is no command/);
    }
  });
}
