import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Whether a program of this name is installed; the folders of root are not on every PATH. */
export function onPath(name: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.some((folder) => folder !== '' && existsSync(join(folder, name)));
}
