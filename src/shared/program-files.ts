import { extname } from 'node:path';

/**
 * A file of this program that is started as a process or thread of its own, and so is named instead of imported. The
 * same from the sources (`.ts`), from a build and from the standalone binary (`.js`).
 * @param path below `src`, without extension: `worker/main`.
 */
export function programFile(path: string): URL {
  return new URL(`../${path}${extname(import.meta.filename)}`, import.meta.url);
}
