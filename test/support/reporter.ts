import { Transform, type TransformCallback } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { collectFailures } from './failures.ts';

/**
 * The test reporter: passes tap's own output through, then says again what failed, and ends with one plain line,
 * `N passed, N failed, N skipped`, that people and other programs can rely on. It must be a Transform: tap pipes it on, and
 * a bare Writable dies with ERR_STREAM_CANNOT_PIPE.
 */
export default class PlainReporter extends Transform {
  #decoder = new StringDecoder('utf8');
  #rest = '';
  #totals: string | undefined;
  #failures = collectFailures();

  override _transform(chunk: Buffer | string, _encoding: BufferEncoding, done: TransformCallback): void {
    const lines = (this.#rest + (typeof chunk === 'string' ? chunk : this.#decoder.write(chunk))).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#take(line);
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    this.#take(this.#rest);
    const count = (name: string): number => Number(new RegExp(`\\b${name}: (\\d+)`).exec(this.#totals ?? '')?.[1] ?? 0);
    // No totals at all means that tap ended early: that must never read as "0 failed".
    const failed = this.#totals === undefined ? 1 : count('fail');
    const again = this.#failures.lines();
    if (again.length > 0) this.push(`\nWhat failed:\n${again.join('\n')}\n`);
    done(null, `\n${count('pass')} passed, ${failed} failed, ${count('skip') + count('todo')} skipped\n`);
  }

  #take(line: string): void {
    if (/^# \{ total: .*\}$/.test(line)) this.#totals = line;
    this.#failures.line(line);
  }
}
