import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import { type Capability, capability, type KeyType, type RequestKind } from '../../shared/keys.ts';

/**
 * A new request is refused when no capable slot was ready for this long: longer than any failover takes. It does not matter
 * how the last one ended: a slot that was restarted in good order, or whose killed worker was released by its primary, has
 * a successor in a moment, for which a request can wait.
 */
export const graceMs = 10_000;
/**
 * Drivers cannot have been seen while no process of the API, or no database, was there to see them. After such a gap the
 * last ones that were seen have `graceMs` to come back before anything is refused for want of them.
 */
const gapMs = 5_000;
const longestOutageMs = 600_000;

/**
 * Which key stores can do what, from the instances seen lately, and how long the first in line waits. Read once a
 * second, so a POST costs no query.
 * @param holdMs how long a POST is held: one that would surely wait longer is better refused now.
 */
export function createCapacity(pool: pg.Pool, holdMs: number) {
  let waitsMs = new Map<string, number>();
  let able = new Set<string>();
  let watchingSinceMs = 0;
  let refreshedMs = Number.NEGATIVE_INFINITY;
  const word = (keyStore: string, what: string): string => `${keyStore} ${what}`;

  return {
    async refresh(): Promise<void> {
      const nowMs = performance.now();
      if (nowMs - refreshedMs > gapMs) watchingSinceMs = nowMs;
      const lookBackMs = nowMs - watchingSinceMs < graceMs ? longestOutageMs : graceMs;
      const { rows } = await pool.query<{ key_store: string; capability: string }>(
        `select distinct key_store, unnest(capabilities) as capability from driver_instance
         where least(seen_at, takes_nothing_since) > now() - (case when ended_at is null then $1 else $2 end)::float8 * interval '1 millisecond'`,
        [lookBackMs, graceMs],
      );
      refreshedMs = performance.now();
      able = new Set(rows.map((row) => word(row.key_store, row.capability)));
      waitsMs = await readWaits(pool, word);
    },
    /** A lease call tells at once what a new instance can do. */
    note(keyStore: string, capabilities: readonly string[]): void {
      for (const one of capabilities) able.add(word(keyStore, one));
    },
    /** @throws NO_SIGNER_READY */
    require(keyStore: string, kind: RequestKind, type: KeyType): void {
      const needed: Capability = capability(kind, type.curve);
      if (able.has(word(keyStore, needed))) {
        const waitMs = waitsMs.get(word(keyStore, needed)) ?? 0;
        if (waitMs <= holdMs) return;
        throw new CodedError(
          'NO_SIGNER_READY',
          `${needed} in key store ${keyStore} waits ${Math.round(waitMs / 1000)} s`,
        );
      }
      throw new CodedError(
        'NO_SIGNER_READY',
        `no slot of key store ${keyStore} that can do ${needed} was ready for ${graceMs / 1000} s`,
      );
    },
  };
}
/**
 * How long the first in line has waited. Whoever comes now stands behind it. Requests that were tried before do not
 * count: they wait for another slot, not for their turn.
 */
async function readWaits(
  pool: pg.Pool,
  word: (keyStore: string, what: string) => string,
): Promise<Map<string, number>> {
  const { rows } = await pool.query<{ key_store: string; capability: string; wait_ms: number }>(
    `select distinct on (key_store, capability) key_store, capability,
       (extract(epoch from now() - created_at) * 1000)::float8 as wait_ms
     from request where state = 'queued' and attempts = 0 and deliveries = 0
     order by key_store, capability, priority desc, turn`,
  );
  return new Map(rows.map((row) => [word(row.key_store, row.capability), row.wait_ms]));
}

export type Capacity = ReturnType<typeof createCapacity>;
