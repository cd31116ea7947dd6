import { closeSync, fsyncSync, linkSync, openSync, rmSync, writeSync } from 'node:fs';
import { type CeremonyFile, ceremonyFile } from '../shared/ceremony-file.ts';
import { CodedError } from '../shared/errors.ts';

/**
 * Writes the protocol file whole or not at all, and never over another one: a second file beside it, made durable, then
 * linked under its name.
 * @throws CEREMONY_REFUSED
 */
export function writeProtocolFile(file: string, content: CeremonyFile): void {
  const text = `${JSON.stringify(ceremonyFile.parse(content), null, 2)}\n`;
  const unfinished = `${file}.${process.pid}.unfinished`;
  try {
    const handle = openSync(unfinished, 'wx', 0o644);
    try {
      writeSync(handle, text);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    linkSync(unfinished, file);
  } catch (cause) {
    throw new CodedError(
      'CEREMONY_REFUSED',
      `${file} cannot be written (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`,
      { cause },
    );
  } finally {
    rmSync(unfinished, { force: true });
  }
}
