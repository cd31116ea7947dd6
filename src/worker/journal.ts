import { createHash } from 'node:crypto';
import { lengthPrefixed } from '../shared/crypto/length-prefixed.ts';
import type { Signature } from '../shared/driver-protocol.ts';
import type { DriverDatabase, Statement } from './database.ts';
import type { Count } from './metrics.ts';

/**
 * The journal: what was signed for each request id. A signature leaves the worker only after its row is durable, and the
 * first row of an id is the truth for every node: a signature that was made later for the same id is thrown away, and
 * that is recorded. One statement, one function.
 */
export interface JournalEntry {
  readonly requestId: string;
  readonly keyId: string;
  /** By which the key was wrapped when it signed. */
  readonly masterKeyId: string;
  readonly payloadDigest: Buffer;
  readonly signatures: readonly Signature[];
}

export interface Journal {
  /** The rows that exist, by request id. What can be read is durable. */
  find(requestIds: readonly string[]): Promise<ReadonlyMap<string, JournalEntry>>;
  /** @returns the ids whose row is now ours and durable; the others have another row: read it with `find`. */
  add(entries: readonly JournalEntry[]): Promise<ReadonlySet<string>>;
  /** Records signatures that are never released. */
  discard(entries: readonly Pick<JournalEntry, 'requestId' | 'payloadDigest'>[], reason: DiscardReason): Promise<void>;
}

export type DiscardReason = 'journal had another signature' | 'journal had another payload' | 'did not verify';

/** What a request asks to be signed, as one value: the same id with another one is refused. */
export function payloadDigest(keyId: string, digests: readonly Uint8Array[]): Buffer {
  return createHash('sha256')
    .update(lengthPrefixed([keyId, ...digests]))
    .digest();
}

export interface JournalWriter {
  readonly slot: string;
  readonly instance: string;
}

export function createJournal(database: DriverDatabase, writer: JournalWriter, count: Count): Journal {
  return {
    async find(requestIds) {
      if (requestIds.length === 0) return new Map();
      const rows = await database.query<JournalRow>(selectRows, [requestIds]);
      return new Map(rows.map((row) => [row.request_id, entryOf(row)]));
    },
    async add(entries) {
      if (entries.length === 0) return new Set();
      const sorted = entries.toSorted((a, b) => (a.requestId < b.requestId ? -1 : 1));
      const rows = await database.query<{ request_id: string }>(insertRows, [
        sorted.map((entry) => entry.requestId),
        sorted.map((entry) => entry.keyId),
        sorted.map((entry) => entry.payloadDigest),
        sorted.map((entry) => Buffer.from(entry.signatures.map((one) => one.rs).join(''), 'hex')),
        sorted.map((entry) => entry.signatures.map((one) => one.recid ?? -1).join(',')),
        writer.slot,
        writer.instance,
        sorted.map((entry) => entry.masterKeyId),
      ]);
      count('journal_rows', rows.length);
      count('journal_conflicts', entries.length - rows.length);
      return new Set(rows.map((row) => row.request_id));
    },
    async discard(entries, reason) {
      if (entries.length === 0) return;
      await database.query(insertDiscarded, [
        entries.map((entry) => entry.requestId),
        entries.map((entry) => entry.payloadDigest),
        reason,
        writer.slot,
        writer.instance,
      ]);
      count('signatures_discarded', entries.length);
    },
  };
}

interface JournalRow {
  request_id: string;
  key_id: string;
  master_key_id: string;
  payload_digest: Buffer;
  signatures: Buffer[];
  recids: number[];
}

const selectRows: Statement = {
  name: 'worker_journal_rows',
  text: 'select request_id, key_id, master_key_id, payload_digest, signatures, recids from journal where request_id = any($1::text[])',
};

/**
 * Rows come sorted by id: two nodes that journal the same ids wait for each other instead of dead-locking. The
 * signatures of a row travel joined (64 bytes each), because an array of arrays cannot be unnested row by row.
 */
const insertRows: Statement = {
  name: 'worker_insert_journal',
  text: `insert into journal (request_id, key_id, payload_digest, signatures, recids, slot, instance, master_key_id)
    select request_id, key_id, payload_digest,
      array(select substring(joined from 64 * at + 1 for 64) from generate_series(0, length(joined) / 64 - 1) as at),
      string_to_array(recids, ',')::smallint[], $6::text, $7::uuid, master_key_id
    from unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::text[], $8::text[])
      as row (request_id, key_id, payload_digest, joined, recids, master_key_id)
    on conflict do nothing
    returning request_id`,
};

const insertDiscarded: Statement = {
  name: 'worker_insert_discarded',
  text: `insert into discarded_signature (request_id, payload_digest, reason, slot, instance)
    select request_id, payload_digest, $3::text, $4::text, $5::uuid
    from unnest($1::text[], $2::bytea[]) as row (request_id, payload_digest)`,
};

function entryOf(row: JournalRow): JournalEntry {
  const signatures = row.signatures.map((rs, at): Signature => {
    const recid = row.recids[at];
    return { rs: rs.toString('hex'), ...(recid === 0 || recid === 1 ? { recid } : {}) };
  });
  return {
    requestId: row.request_id,
    keyId: row.key_id,
    masterKeyId: row.master_key_id,
    payloadDigest: row.payload_digest,
    signatures,
  };
}
