import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '../local/places.ts';

/** What a build was made from. */
export interface Source {
  readonly commit: string;
  /** Whether the files are exactly those of the commit. */
  readonly clean: boolean;
  /** ISO 8601; the one time in what a build writes, so that two builds of a commit are alike. */
  readonly committedAt: string;
  readonly version: string;
  readonly lockFileSha256: string;
}

export function readSource(): Source {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: repository, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string };
  const lock = readFileSync(join(repository, 'package-lock.json'));
  return {
    ...commitOf(git),
    version,
    lockFileSha256: createHash('sha256').update(lock).digest('hex'),
  };
}

/** An unpacked archive of the sources has no commit. */
function commitOf(git: (...args: string[]) => string): Pick<Source, 'commit' | 'clean' | 'committedAt'> {
  try {
    return {
      commit: git('rev-parse', 'HEAD'),
      clean: git('status', '--porcelain') === '',
      committedAt: new Date(Number(git('log', '-1', '--format=%ct')) * 1_000).toISOString(),
    };
  } catch {
    return { commit: 'unknown', clean: false, committedAt: new Date(0).toISOString() };
  }
}
