import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';

/** Writes a file whole and to disk, in place of the one that was there: after a crash there is the one or the other. Mode 0600. */
export function writeDurably(file: string, text: string): void {
  const unfinished = `${file}.${randomUUID()}`;
  createDurably(unfinished, text, 0o600);
  renameSync(unfinished, file);
}

/** Writes a new file to disk, never over another. @throws the error of the file system: EEXIST where there is one */
export function createDurably(file: string, text: string, mode: number): void {
  const handle = openSync(file, 'wx', mode);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
