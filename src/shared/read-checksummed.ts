import { createHash } from 'node:crypto';
import { byteLines } from './byte-lines.ts';
import { type Checksums, checksumsOf, footer } from './checksummed-file.ts';

/** Lines of a file that createChecksummedFile made, and at the end whether it is still as it was made. */
export interface ChecksummedLines {
  /** All but the footer; without their line feeds. To be read to the end. */
  readonly lines: AsyncGenerator<Buffer>;
  /** Afterwards: the hashes of what was read, or what is wrong with the file. */
  end(): Checksums | { readonly fault: string };
  /** Afterwards: the line in the footer's place. */
  lastLine(): string;
}

export function readChecksummed(file: string): ChecksummedLines {
  const hash = createHash('sha256');
  let last: Buffer | undefined;
  let fault: string | undefined;

  async function* read(): AsyncGenerator<Buffer> {
    for await (const { line, complete } of byteLines(file)) {
      if (last !== undefined) {
        hash.update(last).update('\n');
        yield last;
      }
      last = line;
      if (!complete) fault = 'it ends in the middle of a line: it was cut short';
    }
  }

  return {
    lines: read(),
    lastLine: () => last?.toString('utf8') ?? '',
    end() {
      if (last === undefined) return { fault: 'it is empty' };
      if (fault !== undefined) return { fault };
      const checksums = checksumsOf(hash);
      const text = last.toString('latin1');
      if (text === footer(checksums.checksum)) return checksums;
      if (/^\{"sha256":"[0-9a-f]{64}"\}$/.test(text)) return { fault: 'it was changed after it was made' };
      return { fault: 'its last line is not the checksum: it was cut short or changed' };
    },
  };
}
