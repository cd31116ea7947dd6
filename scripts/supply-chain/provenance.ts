import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Source } from './source.ts';

/** A file, or an image by its digest. */
export interface Subject {
  readonly name: string;
  readonly sha256: string;
}

/**
 * How something was built: an in-toto statement (v1) with SLSA provenance (v1). Not signed here: `cosign attest-blob` and
 * `cosign attest` take its predicate, see docs/deployment/supply-chain.md.
 * @param what `binary` or `image`.
 * @param builder identity of the machine that builds, a URI; a pipeline gives its own.
 */
export function provenance(what: 'binary' | 'image', subjects: readonly Subject[], source: Source, builder: string) {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: subjects.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: `https://github.com/hsm-signing/hsm-signing/blob/main/docs/deployment/supply-chain.md#${what}`,
        externalParameters: { version: source.version, sourcesAsCommitted: source.clean },
        internalParameters: { node: process.version, platform: `${process.platform}-${process.arch}` },
        resolvedDependencies: [
          { uri: 'git+https://github.com/hsm-signing/hsm-signing', digest: { gitCommit: source.commit } },
          { uri: 'package-lock.json', digest: { sha256: source.lockFileSha256 } },
        ],
      },
      runDetails: { builder: { id: builder } },
    },
  };
}

export async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
