import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { CodedError } from '../errors.ts';

/**
 * Secrets (PINs, passwords, private keys) come from files only. A file that others can read is refused; group-readable
 * is allowed because that is what Kubernetes mounts. The caller clears the buffer when it is done (`fill(0)`).
 *
 * @param what names the setting for the error, e.g. `slots[0].pinFile`.
 * @returns the file's bytes without one trailing line end.
 * @throws SECRET_FILE_MISSING, SECRET_FILE_UNSAFE, SECRET_FILE_INVALID (empty)
 */
export function readSecretFile(file: string, what: string): Buffer {
  const handle = openSecret(file, what);
  try {
    const size = fstatSync(handle).size;
    const bytes = Buffer.alloc(size);
    let length = 0;
    while (length < size) {
      const read = readSync(handle, bytes, length, size - length, length);
      if (read === 0) break;
      length += read;
    }
    if (bytes[length - 1] === 0x0a) length -= 1;
    if (bytes[length - 1] === 0x0d) length -= 1;
    if (length <= 0) throw new CodedError('SECRET_FILE_INVALID', `${what} ${file} is empty`);
    return bytes.subarray(0, length);
  } finally {
    closeSync(handle);
  }
}

/** The same checks without reading the secret: for a process that must never see it (the primary). */
export function checkSecretFile(file: string, what: string): void {
  closeSync(openSecret(file, what));
}

function openSecret(file: string, what: string): number {
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch (cause) {
    throw new CodedError(
      'SECRET_FILE_MISSING',
      `${what} ${file} (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`,
      { cause },
    );
  }
  const status = fstatSync(handle);
  const refuse = (code: 'SECRET_FILE_INVALID' | 'SECRET_FILE_UNSAFE', why: string): never => {
    closeSync(handle);
    throw new CodedError(code, `${what} ${file} ${why}`);
  };
  if (!status.isFile()) refuse('SECRET_FILE_INVALID', 'is not a plain file');
  // Seen without reading it: a file that somebody is just writing is often empty.
  if (status.size === 0) refuse('SECRET_FILE_INVALID', 'is empty');
  if ((status.mode & 0o007) !== 0) refuse('SECRET_FILE_UNSAFE', `has mode ${(status.mode & 0o777).toString(8)}`);
  return handle;
}
