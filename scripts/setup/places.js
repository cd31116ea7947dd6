import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The clone's own folder: everything set-up makes stays below it. */
export const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));

/** What set-up makes and can make again: safe to delete at any time. */
export const cache = join(root, '.cache');

/** Stamps, the lock and the facts of set-up. */
export const setupCache = join(cache, 'setup');

/** What the later steps need to know, written by set-up at its end. */
export const factsFile = join(setupCache, 'facts.json');

/** A path as people want to read it: relative to the clone, or with `~`. */
export function readable(path) {
  if (path.startsWith(`${root}/`)) return path.slice(root.length + 1);
  const home = homedir();
  return home.length > 1 && path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}

/** What built programs depend on: a clone that another system (a container, say) also uses is checked again there. */
export function machine() {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release') : '';
  return `${process.platform} ${process.arch} ${createHash('sha256').update(release).digest('hex').slice(0, 16)}`;
}
