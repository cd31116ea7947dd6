import { createReadStream } from 'node:fs';
import { CodedError } from './errors.ts';

/**
 * The lines of a file as the bytes they are, without their line feed, one after the other in flat memory. Nothing is
 * decoded or mended: what is checked by its hash must be what is in the file. The last line may lack its line feed; then
 * `complete` is false.
 * @throws INPUT_FILE_UNREADABLE
 */
export async function* byteLines(file: string): AsyncGenerator<{ readonly line: Buffer; readonly complete: boolean }> {
  let rest: Buffer[] = [];
  for await (const chunk of chunks(file)) {
    let from = 0;
    for (let at = chunk.indexOf(lineFeed); at !== -1; at = chunk.indexOf(lineFeed, from)) {
      const end = chunk.subarray(from, at);
      yield { line: rest.length === 0 ? end : Buffer.concat([...rest, end]), complete: true };
      rest = [];
      from = at + 1;
    }
    if (from < chunk.length) rest.push(chunk.subarray(from));
  }
  if (rest.length > 0) yield { line: Buffer.concat(rest), complete: false };
}

const lineFeed = 0x0a;

async function* chunks(file: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(file, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError('INPUT_FILE_UNREADABLE', `${file} (${why})`, { cause });
  }
}
