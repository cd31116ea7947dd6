import type { AuditChain } from '../shared/audit/chain.ts';
import type { KeyDiscarded, KeyGenerated } from '../shared/audit/event.ts';
import type { Log } from '../shared/log.ts';
import type { DriverDatabase } from './database.ts';
import type { HsmFailure, HsmResult } from './hsm/jobs.ts';
import { insertKeys, type StoredKey, selectKeysByKeyId, selectKeysByRequestId } from './key-rows.ts';
import type { Count } from './metrics.ts';
import type { WrappedKey } from './wrapped-key.ts';

/**
 * Wrapped keys: the database, and a bounded memory of rows in front of it. A row enters the memory after its tag was
 * checked in the HSM and is not checked again. What is kept is wrapped: without the HSM it is of no use.
 */
export interface KeyStore {
  /** The keys of these ids; an id that is missing in the result has no row. */
  find(keyIds: readonly string[]): Promise<ReadonlyMap<string, FoundKey>>;
  /** The same from the database, for keys whose row in memory may be of yesterday. */
  reread(keyIds: readonly string[]): Promise<ReadonlyMap<string, FoundKey>>;
  /** What these GenerateKey requests made before, by request id. */
  findMade(requestIds: readonly string[]): Promise<ReadonlyMap<string, FoundKey>>;
  /**
   * Stores new keys durably; repeats until it is done.
   * @returns the request ids whose row is ours; for the others a row was there before, perhaps our own from a commit whose
   * answer got lost.
   */
  add(keys: readonly StoredKey[]): Promise<ReadonlySet<string>>;
  /** Records keys that were made and never stored. */
  discard(keys: readonly StoredKey[]): Promise<void>;
}

export type FoundKey =
  | { readonly found: 'key'; readonly key: WrappedKey; readonly attestation: string }
  /** The row's tag does not hold: it was changed by somebody without the HSM. */
  | { readonly found: 'changed' }
  /** The HSM could not say. */
  | { readonly found: 'unchecked'; readonly failure: HsmFailure };

export interface KeyStoreParts {
  readonly database: DriverDatabase;
  readonly audit: AuditChain;
  readonly checkTags: (keys: readonly WrappedKey[]) => Promise<readonly HsmResult<boolean>[]>;
  readonly count: Count;
  readonly log: Log;
}

/** Keys whose tag failed and was told; beyond that it is counted only. */
const toldKeys = 1_000;

/** About 600 bytes each. */
const memoryRows = 20_000;

export function createKeyStore({ database, audit, checkTags, count, log }: KeyStoreParts): KeyStore {
  // A Map keeps the order of insertion: the first is the one used longest ago.
  const memory = new Map<string, StoredKey>();
  const told = new Set<string>();

  /** An alarm: somebody writes in the driver database. Once a key; a client that keeps asking fills no log. */
  function changed({ key }: StoredKey): FoundKey {
    count('tag_failures');
    if (!told.has(key.keyId) && told.size < toldKeys) {
      told.add(key.keyId);
      log.error({ code: 'KEY_UNUSABLE', keyId: key.keyId }, 'stored key was changed: its integrity tag does not hold');
    }
    return { found: 'changed' };
  }

  function remember(stored: StoredKey): void {
    memory.delete(stored.key.keyId);
    memory.set(stored.key.keyId, stored);
    const oldest = memory.keys().next();
    if (memory.size > memoryRows && oldest.done !== true) memory.delete(oldest.value);
  }

  async function checked(rows: readonly StoredKey[]): Promise<readonly FoundKey[]> {
    if (rows.length === 0) return [];
    const answers = await checkTags(rows.map((row) => row.key));
    return rows.map((row, at) => {
      const answer = answers[at];
      if (answer === undefined) throw new Error('the HSM layer answers every tag');
      if (!answer.ok) return { found: 'unchecked', failure: answer };
      if (!answer.value) return changed(row);
      remember(row);
      return { found: 'key', ...row };
    });
  }

  async function read(keyIds: ReadonlySet<string>): Promise<ReadonlyMap<string, FoundKey>> {
    if (keyIds.size === 0) return new Map();
    const rows = await selectKeysByKeyId(database, [...keyIds]);
    return new Map((await checked(rows)).map((result, at) => [(rows[at] as StoredKey).key.keyId, result]));
  }

  return {
    async find(keyIds) {
      const found = new Map<string, FoundKey>();
      const missing = new Set<string>();
      for (const keyId of new Set(keyIds)) {
        const stored = memory.get(keyId);
        if (stored === undefined) missing.add(keyId);
        else {
          remember(stored);
          found.set(keyId, { found: 'key', ...stored });
        }
      }
      for (const [keyId, result] of await read(missing)) found.set(keyId, result);
      return found;
    },
    async reread(keyIds) {
      for (const keyId of keyIds) memory.delete(keyId);
      return await read(new Set(keyIds));
    },
    async findMade(requestIds) {
      const rows = await selectKeysByRequestId(database, requestIds);
      return new Map((await checked(rows)).map((result, at) => [(rows[at] as StoredKey).key.requestId, result]));
    },
    async add(keys) {
      if (keys.length === 0) return new Set();
      const ours = await audit.record(keys.map(generated), (rows) => insertKeys(database, keys, rows));
      count('keys_stored', ours.size);
      for (const stored of keys) if (ours.has(stored.key.requestId)) remember(stored);
      return ours;
    },
    discard: (keys) => audit.append(...keys.map(discarded)),
  };
}

function generated({ key }: StoredKey): KeyGenerated {
  const { requestId, keyId, organisation, type, publicKey, masterKeyId } = key;
  return { kind: 'key-generated', requestId, keyId, organisation, type, publicKey, masterKeyId };
}

function discarded({ key: { requestId, keyId, publicKey } }: StoredKey): KeyDiscarded {
  return { kind: 'key-discarded', requestId, keyId, publicKey, reason: 'another row was there before' };
}
