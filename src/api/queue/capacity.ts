import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import { type Capability, capability, type KeyType, type RequestKind } from '../../shared/keys.ts';

/** A new request is refused when no capable slot was ready for this long: longer than any failover takes. */
const graceMs = 10_000;

/**
 * Which key stores can do what, from the instances seen lately. Read once a second, so a POST costs no query.
 */
export function createCapacity(pool: pg.Pool) {
  let able = new Set<string>();
  const word = (keyStore: string, what: string): string => `${keyStore} ${what}`;

  return {
    async refresh(): Promise<void> {
      const { rows } = await pool.query<{ key_store: string; capability: string }>(
        `select distinct key_store, unnest(capabilities) as capability from driver_instance
         where ended_at is null and seen_at > now() - $1 * interval '1 millisecond'`,
        [graceMs],
      );
      able = new Set(rows.map((row) => word(row.key_store, row.capability)));
    },
    /** A lease call tells at once what a new instance can do. */
    note(keyStore: string, capabilities: readonly string[]): void {
      for (const one of capabilities) able.add(word(keyStore, one));
    },
    /** @throws NO_SIGNER_READY */
    require(keyStore: string, kind: RequestKind, type: KeyType): void {
      const needed: Capability = capability(kind, type.curve);
      if (able.has(word(keyStore, needed))) return;
      throw new CodedError(
        'NO_SIGNER_READY',
        `no slot of key store ${keyStore} that can do ${needed} was ready for ${graceMs / 1000} s`,
      );
    },
  };
}
export type Capacity = ReturnType<typeof createCapacity>;
