import { createHash, type Hash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync, writeSync } from 'node:fs';
import { CodedError } from './errors.ts';

/**
 * A file of lines whose last line holds the SHA-256 of everything before it: `{"sha256":"…64 hex digits…"}`. It is made
 * beside its name and gets it when it is whole and on disk, and never takes the place of another file.
 */
export interface ChecksummedFile {
  /** Without its line feed. */
  write(line: string): void;
  finish(): Checksums;
  /** Removes what is unfinished; nothing after `finish`. */
  abandon(): void;
}

/** SHA-256, lower-case hex. Neither is a proof of who made the file: whoever changes it can make both anew. */
export interface Checksums {
  /** Of everything before the last line, which holds it. */
  readonly checksum: string;
  /** Of the whole file, as `sha256sum` prints it, and as an order names a document. */
  readonly fileSha256: string;
}

const bufferBytes = 256 * 1024;

/** @throws OUTPUT_FILE_NOT_WRITTEN */
export function createChecksummedFile(file: string): ChecksummedFile {
  const unfinished = `${file}.${process.pid}.unfinished`;
  const hash = createHash('sha256');
  // Now, and not after an hour of work.
  if (existsSync(file)) throw new CodedError('OUTPUT_FILE_NOT_WRITTEN', `${file} is there already`);
  const handle = told(file, () => openSync(unfinished, 'wx', 0o600));
  let waiting = '';
  let open = true;

  function flush(): void {
    const bytes = Buffer.from(waiting, 'utf8');
    waiting = '';
    hash.update(bytes);
    told(file, () => writeAll(handle, bytes));
  }

  return {
    write(line) {
      waiting += `${line}\n`;
      if (waiting.length >= bufferBytes) flush();
    },
    finish() {
      flush();
      const checksums = checksumsOf(hash);
      told(file, () => {
        writeAll(handle, Buffer.from(`${footer(checksums.checksum)}\n`));
        fsyncSync(handle);
        closeSync(handle);
        linkSync(unfinished, file);
        rmSync(unfinished);
      });
      open = false;
      return checksums;
    },
    abandon() {
      if (!open) return;
      open = false;
      closeSync(handle);
      rmSync(unfinished, { force: true });
    },
  };
}

function writeAll(handle: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at);
}

/** @param hash of everything before the last line; it may be used on. */
export function checksumsOf(hash: Hash): Checksums {
  const checksum = hash.copy().digest('hex');
  const fileSha256 = hash
    .copy()
    .update(`${footer(checksum)}\n`)
    .digest('hex');
  return { checksum, fileSha256 };
}

export function footer(checksum: string): string {
  return `{"sha256":"${checksum}"}`;
}

function told<Result>(file: string, work: () => Result): Result {
  try {
    return work();
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
    throw new CodedError('OUTPUT_FILE_NOT_WRITTEN', `${file} (${why})`, { cause });
  }
}
