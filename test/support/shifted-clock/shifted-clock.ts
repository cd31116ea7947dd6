import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { compile } from '../fault-module/build.ts';

const source = join(import.meta.dirname, 'shifted-clock.c');
const cache = resolve(import.meta.dirname, '../../../.cache/shifted-clock');

/**
 * What to put before a command so that it, and all it starts, sees a clock that is wrong by so many seconds; the
 * machine's own clock stays.
 */
export async function shiftedClock(seconds: number): Promise<readonly string[]> {
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const library = join(cache, `${hash}.so`);
  if (!existsSync(library)) {
    mkdirSync(cache, { recursive: true });
    const unfinished = join(cache, `${randomUUID()}.so`);
    await compile([source], unfinished);
    renameSync(unfinished, library);
  }
  return ['env', `LD_PRELOAD=${library}`, `CLOCK_SHIFT_S=${seconds}`];
}
