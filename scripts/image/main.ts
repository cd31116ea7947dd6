import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { repository } from '../local/places.ts';
import { provenance } from '../supply-chain/provenance.ts';
import { makeSbom } from '../supply-chain/sbom.ts';
import { readSource } from '../supply-chain/source.ts';
import { openBuildah } from './buildah.ts';

/**
 * `npm run build:image`: the image by buildah, where there is no Docker, and beside it the bill of materials and how it was
 * built: `--tag TAG`, `--target driver|trial`, `--output DIRECTORY`, `--store DIRECTORY`, `--builder URI`, `--build-image`
 * and `--base-image` for other bases.
 */
const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'driver' },
    tag: { type: 'string' },
    output: { type: 'string', default: join(repository, 'dist/image') },
    store: { type: 'string', default: join(repository, '.cache/image') },
    builder: { type: 'string', default: 'https://github.com/hsm-signing/hsm-signing/builder/local' },
    'build-image': { type: 'string' },
    'base-image': { type: 'string' },
  },
});
const source = readSource();
const name = values.target === 'trial' ? 'hsm-driver-trial' : 'hsm-driver';
const tag = values.tag ?? `hsm-signing/${name}:${source.version}`;
const buildah = openBuildah(resolve(values.store));
await buildah.build({
  context: repository,
  target: values.target,
  tag,
  arguments: {
    VERSION: source.version,
    REVISION: source.commit,
    ...(values['build-image'] === undefined ? {} : { BUILD_IMAGE: values['build-image'] }),
    ...(values['base-image'] === undefined ? {} : { BASE_IMAGE: values['base-image'] }),
  },
});
const output = resolve(values.output);
mkdirSync(output, { recursive: true });
const write = (file: string, content: unknown): void =>
  writeFileSync(join(output, file), `${JSON.stringify(content, null, 2)}\n`);
write(`${name}.sbom.cdx.json`, await makeSbom(source));
const subject = { name: tag, sha256: await buildah.digest(tag) };
write(`${name}.provenance.intoto.json`, provenance('image', [subject], source, values.builder));
process.stdout.write(`${tag}, sha256:${subject.sha256}\n`);
