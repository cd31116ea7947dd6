import type pg from 'pg';
import type { TestKey } from '../../shared/hsm-work.ts';
import type { Log } from '../../shared/log.ts';
import type { HsmDesk } from './hsm-desk.ts';

/**
 * This node’s part in the exchange of test keys: opens those of the last minutes on each of its ready slots, its own too,
 * once each, and says how it went.
 */
export interface TestKeyWatch {
  start(): void;
  stop(): void;
}

export interface TestKeyWatchOptions {
  readonly pool: pg.Pool;
  readonly node: string;
  readonly hsm: HsmDesk;
  readonly everyMs: number;
  readonly log: Log;
}

interface Offered {
  readonly id: string;
  readonly maker: string;
  readonly key: TestKey;
}

export function createTestKeyWatch({ pool, node, hsm, everyMs, log }: TestKeyWatchOptions): TestKeyWatch {
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;

  async function openAll(): Promise<void> {
    for (const slot of hsm.readySlots()) {
      for (const offered of await unopened(slot)) await open(slot, offered);
    }
  }

  async function unopened(slot: string): Promise<Offered[]> {
    const { rows } = await pool.query<Offered>(
      `select id, node || '/' || slot as maker, key from test_key k
       where made_at > clock_timestamp() - interval '30 minutes' and not exists (
         select from test_key_opening o where o.test_key = k.id and o.node = $1 and o.slot = $2)
       order by made_at desc limit 2`,
      [node, slot],
    );
    return rows;
  }

  async function open(slot: string, { id, maker, key }: Offered): Promise<void> {
    const { opened, soundItself, problem } = await hsm.ask(
      { kind: 'open-test-key', testKey: key },
      stopping.signal,
      slot,
    );
    if (opened === false)
      log.error({ slot, maker, soundItself, cause: problem }, 'slot cannot open a test key of another slot');
    await pool.query(
      `insert into test_key_opening (test_key, node, slot, opened, sound_itself, problem)
       select $1, $2, $3, $4, $5, $6 from test_key where id = $1 on conflict do nothing`,
      [id, node, slot, opened, soundItself, problem ?? null],
    );
  }

  async function look(): Promise<void> {
    await openAll().catch((error) => log.debug({ cause: (error as Error).message }, 'test keys not opened'));
    if (!stopping.signal.aborted) timer = setTimeout(() => void look(), everyMs).unref();
  }

  return {
    start: () => void look(),
    stop() {
      stopping.abort();
      clearTimeout(timer);
    },
  };
}
