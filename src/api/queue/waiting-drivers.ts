import type { LeasedRequest } from '../../shared/driver-protocol.ts';
import { chooseHandOvers, type HandOver } from './hand-over.ts';
import type { NewRequest } from './request.ts';
import type { WaitingCall } from './waiting-call.ts';

/** A driver that was just given work asks for more within this time, or has no room for it, in milliseconds. */
const returnMs = 20;

/**
 * The lease calls that this process holds open, longest waiting first, and the one loop that looks for work for them.
 * Register, then query: a call is in the list before the queue is read, and whoever adds work says so afterwards, so
 * no request and no call can miss each other. At most one queue query of this process is on its way at any time.
 *
 * A call need not look where its instance found nothing and nobody spoke of work since: whatever is put into the queue by
 * others is told by a hint, and each second says that there may be work.
 *
 * @param missed called after a round with the new ids that no waiting call took: other processes must hear of them.
 */
export function createWaitingDrivers(missed: (ids: readonly string[]) => void, failed: (error: unknown) => void) {
  const waiting = new Set<WaitingCall>();
  const departed = new WeakSet<WaitingCall>();
  /** Instances for which nothing was in the queue; a new set whenever there may be work. */
  let foundNothing = new Set<string>();
  /** Instances that were given work and have not called again, with the time until which they are expected. */
  const away = new Map<string, number>();
  /** Somebody who waits for a call to be there. */
  let changed: (() => void) | undefined;
  let dismissed = false;
  let fresh = new Set<string>();
  let again = false;
  let running = false;

  async function run(): Promise<void> {
    running = true;
    while (again) {
      again = false;
      try {
        await round();
      } catch (error) {
        // Nobody loses anything: the calls stay, and the next second's reading tries again.
        failed(error);
      }
    }
    running = false;
    changed?.();
  }

  async function round(): Promise<void> {
    const offered = fresh;
    fresh = new Set();
    for (const call of [...waiting]) {
      if (!waiting.has(call)) continue;
      // Out of the list while its query runs: one call is never answered twice.
      waiting.delete(call);
      const nothing = foundNothing;
      const requests = await call.take().catch((error: unknown) => {
        if (!departed.has(call)) waiting.add(call);
        throw error;
      });
      for (const request of requests) offered.delete(request.id);
      if (requests.length === 0) nothing.add(whoAsks(call));
      if (requests.length > 0 || dismissed) give(call, requests);
      else if (!departed.has(call)) waiting.add(call);
    }
    if (offered.size > 0) missed([...offered]);
  }

  const look = (): void => {
    again = true;
    if (!running) void run();
  };

  function give(call: WaitingCall, requests: readonly LeasedRequest[]): void {
    away.set(call.asks.instance, performance.now() + returnMs);
    call.answer(requests);
  }

  /** @param mustLook false: the call may wait without a look where it would find nothing. */
  function wait(call: WaitingCall, mustLook: boolean): void {
    if (departed.has(call)) return;
    away.delete(call.asks.instance);
    waiting.add(call);
    if (mustLook || !foundNothing.has(whoAsks(call))) look();
    else changed?.();
  }

  function isExpected(): boolean {
    for (const [instance, until] of away) if (until <= performance.now()) away.delete(instance);
    return running || (waiting.size === 0 && away.size > 0);
  }

  return {
    add: wait,
    /** The instance called, and cannot take any work. */
    hasNoRoom(instance: string): void {
      away.delete(instance);
      changed?.();
    },
    /**
     * Resolves when a call waits that new requests can be handed to, or none is about to come: soon in any case. For one
     * caller at a time.
     */
    async ready(): Promise<void> {
      if (dismissed || !isExpected()) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, returnMs);
      changed = () => {
        if (!isExpected()) resolve();
      };
      await promise;
      changed = undefined;
      clearTimeout(timer);
    },
    /**
     * Calls for requests that are about to be inserted, by place. Only while nothing is known to wait in the queue: who
     * waits longer goes first. The calls are out of the list until `handOver` says what became of it.
     */
    claim(requests: readonly NewRequest[]): readonly (HandOver | undefined)[] {
      if (running || dismissed || waiting.size === 0) return [];
      const handOvers = chooseHandOvers([...waiting], requests);
      for (const handOver of handOvers) if (handOver !== undefined) waiting.delete(handOver.call);
      return handOvers;
    },
    /** What each claimed call gets: nothing, and it waits on. */
    handOver(given: ReadonlyMap<WaitingCall, readonly LeasedRequest[]>): void {
      for (const [call, requests] of given) {
        if (requests.length > 0 || dismissed) give(call, requests);
        else wait(call, false);
      }
    },
    /** The call's connection is gone or its time is up. What a query takes for it from now on goes back by itself. */
    remove(call: WaitingCall): void {
      departed.add(call);
      waiting.delete(call);
    },
    /** There may be work. `ids`: requests that are new in the queue. */
    work(ids: readonly string[] = []): void {
      for (const id of ids) fresh.add(id);
      foundNothing = new Set();
      look();
    },
    /**
     * This process stops: nobody waits here any more. A call that still comes has one look, for what callers of this
     * process wait for may have no other process to be handed out by.
     */
    dismiss(): void {
      dismissed = true;
      for (const call of waiting) call.answer([]);
      waiting.clear();
      changed?.();
    },
  };
}
/** What an instance finds in the queue depends on what it can do. */
function whoAsks({ asks: { instance, keyStore, capabilities } }: WaitingCall): string {
  return [instance, keyStore, ...capabilities].join(' ');
}

export type WaitingDrivers = ReturnType<typeof createWaitingDrivers>;

/** A call that does not want to wait still has one look at the queue, for this long at most. */
const oneLookMs = 1_000;

/**
 * Holds one lease call open until there is work, `waitMs` have passed, or it is over. A look that is on its way when
 * the call ends is waited for: what it takes is answered, or at least known to be the instance's.
 */
export function waitForWork(
  drivers: WaitingDrivers,
  asks: WaitingCall['asks'],
  over: AbortSignal,
  waitMs: number,
  takeWork: () => Promise<readonly LeasedRequest[]>,
): Promise<readonly LeasedRequest[]> {
  const { promise, resolve } = Promise.withResolvers<readonly LeasedRequest[]>();
  let looking: Promise<unknown> = Promise.resolve();
  const call: WaitingCall = {
    asks,
    expect(known) {
      looking = known.then(
        () => {},
        () => {},
      );
    },
    take: () => {
      const look = takeWork();
      looking = look.then(
        (work) => {
          if (waitMs === 0 && work.length === 0) end();
        },
        () => {},
      );
      return look;
    },
    answer: (requests) => finish(requests),
  };
  const finish = (requests: readonly LeasedRequest[]): void => {
    clearTimeout(timer);
    over.removeEventListener('abort', end);
    resolve(requests);
  };
  const end = (): void => {
    drivers.remove(call);
    // After whoever the look was for: what it took is the answer, though nobody may hear it any more.
    void looking.then(() => setImmediate(() => finish([])));
  };
  const timer = setTimeout(end, waitMs === 0 ? oneLookMs : waitMs);
  over.addEventListener('abort', end, { once: true });
  if (over.aborted) end();
  else drivers.add(call, waitMs === 0);
  return promise;
}
