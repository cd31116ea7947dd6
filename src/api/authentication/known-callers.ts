import type pg from 'pg';
import { createLeastRecentlyUsed } from '../../shared/least-recently-used.ts';
import { type Caller, presentedToken, readCaller } from './bearer-token.ts';
import type { RateLimit } from './rate-limit.ts';

/** About 500 bytes each. */
const rememberedCallers = 10_000;

/**
 * Who calls: from the database, or, where the call's only effect is checked once more by the statement that has it, from
 * memory. A caller in memory may have lost its rights since; nothing is ever refused on its account.
 */
export interface KnownCallers {
  /** @throws NOT_AUTHENTICATED, without saying why; RATE_LIMITED */
  read(header: string | undefined): Promise<Caller>;
  /** As it was read last; undefined for one that is not in memory. @throws as `read` */
  recall(header: string | undefined): Caller | undefined;
}

/** @param limit counts each call once, before anybody is asked. */
export function createKnownCallers(pool: pg.Pool, limit: RateLimit): KnownCallers {
  const memory = createLeastRecentlyUsed<string, Caller>(rememberedCallers);
  return {
    async read(header) {
      const hash = presentedToken(header);
      const name = hash.toString('base64');
      limit.take(name);
      memory.delete(name);
      const caller = await readCaller(pool, hash);
      memory.set(name, caller);
      return caller;
    },
    recall(header) {
      const name = presentedToken(header).toString('base64');
      const caller = memory.get(name);
      if (caller !== undefined) limit.take(name);
      return caller;
    },
  };
}
