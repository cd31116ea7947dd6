import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { ofRequest, type RequestRecord, requestColumns } from './request-row.ts';

/**
 * How long a key rests when one of its requests has ended every worker that got it: the first time, and at most. Each time
 * within an hour after a rest it is twice as long. A request costs up to five workers; asked for again and again, such a key
 * would keep all slots of a key store in a crash loop, and all other keys with them.
 */
const [firstRestMs, longestRestMs] = [120_000, 3_600_000];

/**
 * Keys that rest: nothing is asked of an HSM for them. Most often the HSM’s library ends with its process when it opens
 * the key; an HSM that hangs again and again can make a key look so, which is why a rest is short at first.
 */
export interface RestingKeys {
  /**
   * Reads which keys rest, so that a POST costs no query; once a second.
   * @returns the requests that waited for them, which have failed.
   */
  refresh(): Promise<RequestRecord[]>;
  /** @throws KEY_RESTS */
  require(keyId: string): void;
  /**
   * The keys of these requests, which failed since their workers ended, rest from now on.
   * @returns as `refresh`.
   */
  rest(failed: readonly RequestRecord[]): Promise<RequestRecord[]>;
}

export function createRestingKeys(pool: pg.Pool, log: Log): RestingKeys {
  /** By id, on the monotonic clock. */
  let until = new Map<string, number>();

  async function refresh(): Promise<RequestRecord[]> {
    const { rows } = await pool.query<{ key_id: string; rests_ms: number }>(
      `select key_id, (extract(epoch from rests_until - now()) * 1000)::float8 as rests_ms
       from resting_key where rests_until > now()`,
    );
    until = new Map(rows.map((row) => [row.key_id, performance.now() + row.rests_ms]));
    return rows.length === 0 ? [] : await failWaiting(pool, [...until.keys()]);
  }

  return {
    refresh,
    require(keyId) {
      const restsMs = (until.get(keyId) ?? 0) - performance.now();
      if (restsMs > 0) throw new CodedError('KEY_RESTS', `${keyId}, for another ${Math.ceil(restsMs / 1_000)} s`);
    },
    async rest(failed) {
      const signatures = failed.filter(({ kind }) => kind === 'Sign');
      if (signatures.length === 0) return [];
      for (const { id: requestId, key_id: keyId } of signatures)
        log.error({ code: 'KEY_RESTS', requestId, keyId }, 'a request ended all workers that got it; its key rests');
      await letRest(pool, [...new Set(signatures.map((row) => row.key_id))]);
      return await refresh();
    },
  };
}

/** A key that rests already, of which another request fails, rests no longer for that. */
async function letRest(pool: pg.Pool, keyIds: readonly string[]): Promise<void> {
  await pool.query(
    `with forgotten as (
       delete from resting_key where rests_until < now() - interval '1 day' and key_id <> all($1)
     ), due as (
       select key_id, case when before.rests_until > now() - interval '1 hour'
         then least(2 * before.rest_ms, $3) else $2 end as rest_ms
       from unnest($1::text[]) as rests (key_id) left join resting_key before using (key_id)
     )
     insert into resting_key (key_id, rests_until, rest_ms)
     select key_id, now() + rest_ms * interval '1 millisecond', rest_ms from due
     on conflict (key_id) do update set rests_until = excluded.rests_until, rest_ms = excluded.rest_ms
       where resting_key.rests_until <= now()`,
    [keyIds, firstRestMs, longestRestMs],
  );
}

/** One that is being leased at this moment goes its own way. */
async function failWaiting(pool: pg.Pool, keyIds: readonly string[]): Promise<RequestRecord[]> {
  const { rows } = await pool.query<RequestRecord>(
    `with waiting as (
       select id from request where state = 'queued' and kind = 'Sign' and key_id = any($1) for update skip locked
     )
     update request set state = 'failed', error_code = 'ATTEMPTS_EXHAUSTED', done_at = now(),
       error_message = 'another request for its key ended all workers that got it'
     from waiting where request.id = waiting.id
     returning ${ofRequest(requestColumns)}`,
    [keyIds],
  );
  return rows;
}
