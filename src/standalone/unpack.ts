import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * What the standalone binary carries and must have on a file system: native libraries are opened by the dynamic loader, and
 * threads and child processes start from files. They go into a folder that only this user may enter, named by its content,
 * and are compared with the binary's own list at every start.
 */
export interface ProgramFile {
  /** Below the folder; no `..`. */
  readonly path: string;
  /** Lower-case hex. */
  readonly sha256: string;
}

export interface Packed {
  readonly files: readonly ProgramFile[];
  content(path: string): Buffer;
}

/**
 * Unpacks what is not there yet. Any number of processes may do this at once: each unpacks into a folder of its own, and one
 * rename wins.
 * @param base folder for all versions; made with mode 0700.
 * @returns the folder with the program's files.
 * @throws Error when `base` is not this user's alone, or cannot be written.
 */
export function unpackProgram(packed: Packed, base: string): string {
  openPrivate(base);
  const target = join(base, nameOf(packed.files));
  if (isIntact(target, packed.files)) return target;
  const fresh = join(base, `.${randomBytes(8).toString('hex')}`);
  try {
    for (const { path } of packed.files) {
      mkdirSync(dirname(join(fresh, path)), { recursive: true, mode: 0o700 });
      writeFileSync(join(fresh, path), packed.content(path), { mode: 0o500, flag: 'wx' });
    }
    moveTo(fresh, target, packed.files);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  if (!isIntact(target, packed.files)) throw new Error(`${target} does not hold what this program was built with`);
  return target;
}

function moveTo(fresh: string, target: string, files: readonly ProgramFile[]): void {
  try {
    renameSync(fresh, target);
  } catch (error) {
    // Another process was first, or what is there is damaged.
    if (isIntact(target, files)) return;
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    const damaged = `${fresh}.damaged`;
    renameSync(target, damaged);
    renameSync(fresh, target);
    rmSync(damaged, { recursive: true, force: true });
  }
}

/** Others could put a library of theirs into a folder that is not this user's alone. */
function openPrivate(base: string): void {
  mkdirSync(base, { recursive: true, mode: 0o700 });
  const status = lstatSync(base);
  if (!status.isDirectory() || status.uid !== process.geteuid?.())
    throw new Error(`${base} is not a directory of this user`);
  if ((status.mode & 0o022) !== 0) throw new Error(`${base} can be written by others`);
  if ((status.mode & 0o077) !== 0) chmodSync(base, 0o700);
}

function isIntact(folder: string, files: readonly ProgramFile[]): boolean {
  try {
    const status = lstatSync(folder);
    if (!status.isDirectory() || status.uid !== process.geteuid?.()) return false;
    const there = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => !one.isDirectory());
    return (
      there.length === files.length &&
      there.every((one) => one.isFile()) &&
      files.every(({ path, sha256 }) => sha256Of(readFileSync(join(folder, path))) === sha256)
    );
  } catch {
    return false;
  }
}

export function sha256Of(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** The folder’s name: another program, another name. */
export function nameOf(files: readonly ProgramFile[]): string {
  return sha256Of(Buffer.from(JSON.stringify(files))).slice(0, 32);
}
