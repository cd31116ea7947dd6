import { failureOf } from './failure.ts';
import type { HsmFailure } from './jobs.ts';
import type { ThreadHandle } from './thread-handle.ts';
import type { ThreadCalls } from './thread-protocol.ts';

/** The calls that take a list of items and answer each. */
type BatchName = 'generate' | 'sign' | 'check-tags' | 'rewrap' | 'retag' | 'inspect' | 'mark';
type Item<Name extends BatchName> = ThreadCalls[Name]['ask'][number];
type Answer<Name extends BatchName> = ThreadCalls[Name]['answer'][number];

/** Two messages per thread: while it works on one the next lies ready, so it never waits for this thread. */
const messagesPerThread = 2;
/** A message carries many small items, because a round trip costs ten times an item's share of it. */
const itemsPerMessage = 32;
/**
 * Up to this much work goes as one message to each thread, in milliseconds: a message wakes a thread, which costs as much
 * as a quick signature.
 */
const messageMs = 4;

interface Queued {
  readonly name: BatchName;
  readonly item: unknown;
  resolve(answer: unknown): void;
  fail(failure: HsmFailure): void;
}

/**
 * Spreads items over the session threads: the least busy thread next, in messages that get larger only as the queue does,
 * so that few items still use all threads. Every item is answered, at the latest when its thread dies.
 */
export class Dispatcher {
  readonly #threads: readonly ThreadHandle[];
  readonly #queue: Queued[] = [];
  /** Items handed to a thread and not yet answered. */
  #atWork = 0;
  #idle: (() => void)[] = [];
  /** What an item takes on its thread: the quickest of late, since every other was kept waiting by something else. */
  readonly #itemMs = new Map<BatchName, number>();

  constructor(threads: readonly ThreadHandle[]) {
    this.#threads = threads;
  }

  /** @returns in the order of `items`; `onFailure` makes an item's answer of what befell its thread. */
  run<Name extends BatchName>(
    name: Name,
    items: readonly Item<Name>[],
    onFailure: (failure: HsmFailure, index: number) => Answer<Name>,
  ): Promise<Answer<Name>[]> {
    const answers = items.map(
      (item, index) =>
        new Promise<Answer<Name>>((resolve) => {
          this.#queue.push({
            name,
            item,
            resolve: resolve as (answer: unknown) => void,
            fail: (failure) => resolve(onFailure(failure, index)),
          });
        }),
    );
    this.#pump();
    return Promise.all(answers);
  }

  /** Resolves when nothing is queued or at work. */
  async idle(): Promise<void> {
    if (this.#queue.length === 0 && this.#atWork === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #pump(): void {
    // Once for what lies ready: shares of what is left would get ever smaller, and cost a message each.
    const share = this.#share();
    while (this.#queue.length > 0) {
      const alive = this.#threads.filter((thread) => thread.alive);
      const thread = alive.reduce<ThreadHandle | undefined>(
        (least, one) => (least === undefined || one.inFlight < least.inFlight ? one : least),
        undefined,
      );
      if (thread === undefined) {
        for (const one of this.#queue.splice(0)) one.fail(lost('every session thread has ended'));
        break;
      }
      if (thread.inFlight >= messagesPerThread) return;
      this.#send(thread, this.#take(share));
    }
    if (this.#queue.length === 0 && this.#atWork === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Items for one message: their share of a full round over all threads; or more, where that is little work. */
  #share(): number {
    const threads = this.#threads.filter((thread) => thread.alive).length;
    const name = this.#queue[0]?.name;
    const itemMs = (name && this.#itemMs.get(name)) ?? messageMs;
    const small = Math.ceil(this.#queue.length / (threads * messagesPerThread));
    const large = Math.min(Math.ceil(this.#queue.length / threads), Math.ceil(messageMs / itemMs));
    return Math.min(Math.max(small, large), itemsPerMessage);
  }

  /** The head of the queue: items of one kind. */
  #take(share: number): Queued[] {
    const name = this.#queue[0]?.name;
    const other = this.#queue.findIndex((one) => one.name !== name);
    return this.#queue.splice(0, other === -1 ? share : Math.min(share, other));
  }

  #send(thread: ThreadHandle, batch: readonly Queued[]): void {
    const [first] = batch;
    if (first === undefined) return;
    this.#atWork += batch.length;
    const sentAt = thread.inFlight === 0 ? performance.now() : undefined;
    const ask = batch.map((one) => one.item) as never;
    void thread
      .ask(first.name, ask)
      .then(
        (answers: readonly unknown[]) => {
          if (sentAt !== undefined) this.#note(first.name, (performance.now() - sentAt) / batch.length);
          for (const [index, one] of batch.entries()) one.resolve(answers[index]);
        },
        (error: unknown) => {
          const failure = thread.alive ? failureOf(error) : lost((error as Error).message);
          for (const one of batch) one.fail(failure);
        },
      )
      .finally(() => {
        this.#atWork -= batch.length;
        this.#pump();
      });
  }

  #note(name: BatchName, ms: number): void {
    const before = this.#itemMs.get(name) ?? ms;
    this.#itemMs.set(name, ms < before ? ms : before + (ms - before) / 16);
  }
}

function lost(why: string): HsmFailure {
  return { ok: false, code: 'HSM_DEVICE_FAULT', message: why, device: 'lost', retryable: true };
}
