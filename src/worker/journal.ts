import { createHash, hash } from 'node:crypto';
import type { AuditChain, AuditRows } from '../shared/audit/chain.ts';
import type { Discarded, Signed } from '../shared/audit/event.ts';
import { auditParameters, insertEntriesText } from '../shared/audit/insert-entries.ts';
import { lengthPrefixed } from '../shared/crypto/length-prefixed.ts';
import type { Signature } from '../shared/driver-protocol.ts';
import { DatabaseLost, type DriverDatabase, type Statement } from './database.ts';
import { gathering } from './gathering.ts';
import type { Count } from './metrics.ts';

/**
 * The journal: what was signed for each request id. A signature leaves the worker only after its row is durable, and the
 * first row of an id is the truth for every node: a signature that was made later for the same id is thrown away, and
 * that is recorded. A row is written in one statement with its entry in the audit log. One statement, one function.
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
  /**
   * Repeats until it is done; entries of several calls go together.
   * @returns the ids whose row is now ours and durable; those that are missing have another row: read it with `find`. It
   * may be our own, from a commit whose answer got lost.
   */
  add(entries: readonly JournalEntry[]): Promise<ReadonlySet<string>>;
  /** Records signatures that are never released; repeats until it is done. */
  discard(entries: readonly DiscardedEntry[], reason: DiscardReason): Promise<void>;
}

export type DiscardedEntry = Pick<JournalEntry, 'requestId' | 'keyId' | 'payloadDigest'>;

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

export function createJournal(
  database: Pick<DriverDatabase, 'query'>,
  audit: Pick<AuditChain, 'record'>,
  writer: JournalWriter,
  count: Count,
): Journal {
  const add = gathering(addTogether, (error) => error instanceof DatabaseLost);

  async function addTogether(entries: readonly JournalEntry[]): Promise<ReadonlySet<string>> {
    const sorted = entries.toSorted((a, b) => (a.requestId < b.requestId ? -1 : 1));
    const ours = await audit.record(sorted.map(signed), (rows) => insertSorted(sorted, rows));
    count('journal_rows', ours.length);
    count('journal_conflicts', entries.length - ours.length);
    return new Set(ours.map((row) => row.request_id));
  }

  function insertSorted(entries: readonly JournalEntry[], rows: AuditRows): Promise<{ request_id: string }[]> {
    return database.query(insertRows, [
      entries.map((entry) => entry.requestId),
      entries.map((entry) => entry.keyId),
      entries.map((entry) => entry.payloadDigest),
      entries.map((entry) => Buffer.from(joined(entry.signatures), 'hex')),
      entries.map((entry) => entry.signatures.map((one) => one.recid ?? -1).join(',')),
      writer.slot,
      writer.instance,
      entries.map((entry) => entry.masterKeyId),
      ...auditParameters(rows),
    ]);
  }

  return {
    async find(requestIds) {
      if (requestIds.length === 0) return new Map();
      const rows = await database.query<JournalRow>(selectRows, [requestIds]);
      return new Map(rows.map((row) => [row.request_id, entryOf(row)]));
    },
    async add(entries) {
      return entries.length === 0 ? new Set() : await add(entries);
    },
    async discard(entries, reason) {
      if (entries.length === 0) return;
      await audit.record(
        entries.map((entry) => discarded(entry, reason)),
        (rows) =>
          database.query(insertDiscarded, [
            entries.map((entry) => entry.requestId),
            entries.map((entry) => entry.payloadDigest),
            reason,
            writer.slot,
            writer.instance,
            ...auditParameters(rows),
          ]),
      );
      count('signatures_discarded', entries.length);
    },
  };
}

function signed({ requestId, keyId, masterKeyId, payloadDigest, signatures }: JournalEntry): Signed {
  return {
    kind: 'signed',
    requestId,
    keyId,
    payload: payloadDigest.toString('base64url'),
    signatures: hash('sha256', Buffer.from(joined(signatures), 'hex'), 'base64url'),
    masterKeyId,
  };
}

function discarded({ requestId, keyId, payloadDigest }: DiscardedEntry, reason: DiscardReason): Discarded {
  return { kind: 'discarded', requestId, keyId, payload: payloadDigest.toString('base64url'), reason };
}

/** Hex of all r‖s, one after the other. */
function joined(signatures: readonly Signature[]): string {
  return signatures.map((one) => one.rs).join('');
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
  text: `with told as (${insertEntriesText(9)})
    insert into journal (request_id, key_id, payload_digest, signatures, recids, slot, instance, master_key_id)
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
  text: `with told as (${insertEntriesText(6)})
    insert into discarded_signature (request_id, payload_digest, reason, slot, instance)
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
