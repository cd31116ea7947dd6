import { execFile } from 'node:child_process';
import { copyFileSync, cpSync, linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repository } from '../local/places.ts';
import type { Sbom } from '../supply-chain/sbom.ts';
import type { Source } from '../supply-chain/source.ts';

/**
 * The archive that an operator unpacks on a host: the binary, systemd’s units, samples of configurations, the pages for
 * operators and the bill of materials. The same sources give the same order, owners and times.
 */
export async function writeArchive(
  binary: string,
  sbom: Sbom,
  source: Source,
  work: string,
  output: string,
): Promise<void> {
  const name = `hsm-signing-${source.version}-linux-x64`;
  const folder = join(work, name);
  mkdirSync(join(folder, 'samples'), { recursive: true });
  linkSync(binary, join(folder, 'hsm-driver'));
  cpSync(join(repository, 'deploy/systemd'), join(folder, 'systemd'), { recursive: true });
  cpSync(join(repository, 'deploy/samples'), join(folder, 'samples'), { recursive: true });
  cpSync(join(repository, 'docs'), join(folder, 'docs'), { recursive: true });
  cpSync(join(repository, 'docs/hsm'), join(folder, 'samples/nodes'), {
    recursive: true,
    filter: (path) => !path.endsWith('.md'),
  });
  for (const file of ['LICENSE', 'README.md', 'CHANGELOG.md']) copyFileSync(join(repository, file), join(folder, file));
  writeFileSync(join(folder, 'sbom.cdx.json'), `${JSON.stringify(sbom, null, 2)}\n`);
  const archive = join(output, `${name}.tar.gz`);
  await promisify(execFile)('tar', [
    '--create',
    '--use-compress-program=gzip -n -1',
    `--file=${archive}`,
    `--directory=${work}`,
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mode=u+rw,go+r,go-w',
    `--mtime=${source.committedAt}`,
    name,
  ]);
}
