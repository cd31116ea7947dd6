import pg from 'pg';
import type { Log } from '../../shared/log.ts';

/**
 * NOTIFY between API processes: a hint that saves a second, never the truth. Sent after the commit that it speaks of,
 * on its own, at most one statement every 2 ms; a lost one costs at most the second until the next reading.
 */
const channels = { work: 'hsm_queue_work', done: 'hsm_queue_done' } as const;
const coalesceMs = 2;
/** A NOTIFY payload holds 8000 bytes; an id is under 40. */
const idsPerHint = 150;

export function createHintSender(pool: pg.Pool) {
  let work = false;
  let done = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  const send = (): void => {
    timer = undefined;
    const payloads: [string, string][] = work ? [[channels.work, '']] : [];
    const ids = [...done];
    for (let at = 0; at < ids.length; at += idsPerHint)
      payloads.push([channels.done, ids.slice(at, at + idsPerHint).join(' ')]);
    work = false;
    done = new Set();
    if (payloads.length === 0) return;
    // A hint that cannot be sent is dropped: the other processes read for themselves each second.
    pool
      .query('select pg_notify(c, p) from unnest($1::text[], $2::text[]) as n (c, p)', [
        payloads.map(([c]) => c),
        payloads.map(([, p]) => p),
      ])
      .catch(() => {});
  };
  const soon = (): void => {
    timer ??= setTimeout(send, coalesceMs);
  };

  return {
    work(): void {
      work = true;
      soon();
    },
    done(ids: readonly string[]): void {
      for (const id of ids) done.add(id);
      soon();
    },
    stop(): void {
      clearTimeout(timer);
    },
  };
}
export type HintSender = ReturnType<typeof createHintSender>;

export interface HintHandlers {
  readonly work: () => void;
  readonly done: (ids: readonly string[]) => void;
  /** After a reconnection: hints may have been missed. */
  readonly reconnected: () => void;
}

/** Listens on a connection of its own, which it makes again when it breaks. */
export function listenForHints(connection: pg.ClientConfig, handlers: HintHandlers, log: Log) {
  let client: pg.Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let failures = 0;

  const connect = async (): Promise<void> => {
    const next = new pg.Client(connection);
    client = next;
    let broken = false;
    const lost = (error?: Error): void => {
      if (broken || stopped) return;
      broken = true;
      if (failures === 0) log.warn({ error: error?.message }, 'listen connection lost');
      failures += 1;
      next.end().catch(() => {});
      timer = setTimeout(() => void connect(), Math.min(2_000, 100 * 2 ** failures));
    };
    next.on('error', lost);
    next.on('end', () => lost());
    next.on('notification', ({ channel, payload }) => {
      if (channel === channels.work) handlers.work();
      else if (channel === channels.done) handlers.done((payload ?? '').split(' '));
    });
    try {
      await next.connect();
      await next.query(`listen ${channels.work}`);
      await next.query(`listen ${channels.done}`);
      if (failures > 0) log.info('listen connection is back');
      failures = 0;
      handlers.reconnected();
    } catch (error) {
      lost(error as Error);
    }
  };
  void connect();

  return {
    async stop(): Promise<void> {
      stopped = true;
      clearTimeout(timer);
      await client?.end().catch(() => {});
    },
  };
}
