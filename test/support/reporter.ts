import { Transform, type TransformCallback } from 'node:stream';

/**
 * The test reporter: passes tap's own output through and ends it with one plain line, `N passed, N failed, N skipped`,
 * that people and other programs can rely on. It must be a Transform: tap pipes it on, and a bare Writable dies with
 * ERR_STREAM_CANNOT_PIPE.
 */
export default class PlainReporter extends Transform {
  #tail = '';

  override _transform(chunk: Buffer | string, _encoding: BufferEncoding, done: TransformCallback): void {
    // Only the end is needed: tap's totals are among the last lines.
    this.#tail = (this.#tail + String(chunk)).slice(-4096);
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    const totals = [...this.#tail.matchAll(/^# \{ total: .*\}$/gm)].at(-1)?.[0];
    const count = (name: string): number => Number(new RegExp(`\\b${name}: (\\d+)`).exec(totals ?? '')?.[1] ?? 0);
    // No totals at all means that tap ended early: that must never read as "0 failed".
    const failed = totals === undefined ? 1 : count('fail');
    done(null, `\n${count('pass')} passed, ${failed} failed, ${count('skip') + count('todo')} skipped\n`);
  }
}
