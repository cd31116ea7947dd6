import type { AuditRows } from '../shared/audit/chain.ts';
import { auditParameters, insertEntriesText } from '../shared/audit/insert-entries.ts';
import type { KeyType } from '../shared/keys.ts';
import type { DriverDatabase, Statement } from './database.ts';
import type { WrappedKey } from './wrapped-key.ts';

/** The statements on `wrapped_key`, one function each. A row here is bytes and text; nothing is trusted yet. */

/** A key as it is stored: with the attestation that its HSM made. */
export interface StoredKey {
  readonly key: WrappedKey;
  /** base64url. */
  readonly attestation: string;
}

interface KeyRow {
  key_id: string;
  request_id: string;
  key_store: string;
  organisation: string;
  scheme: string;
  curve: string;
  public_key: Buffer;
  blob: Buffer;
  wrap_algorithm: string;
  /** bigint: text on the wire. */
  wrap_mechanism: string;
  master_key_id: string;
  integrity_key_id: string;
  allowed_kinds: string[];
  status: WrappedKey['status'];
  tag: Buffer;
  attestation: Buffer;
}

const columns = `key_id, request_id, key_store, organisation, scheme, curve, public_key, blob, wrap_algorithm, wrap_mechanism,
  master_key_id, integrity_key_id, allowed_kinds, status, tag, attestation`;

const byKeyId: Statement = {
  name: 'worker_keys_by_key_id',
  text: `select ${columns} from wrapped_key where key_id = any($1::text[])`,
};

export async function selectKeysByKeyId(database: DriverDatabase, keyIds: readonly string[]): Promise<StoredKey[]> {
  return (await database.query<KeyRow>(byKeyId, [keyIds])).map(storedKey);
}

const byRequestId: Statement = {
  name: 'worker_keys_by_request_id',
  text: `select ${columns} from wrapped_key where request_id = any($1::text[])`,
};

export async function selectKeysByRequestId(
  database: DriverDatabase,
  requestIds: readonly string[],
): Promise<StoredKey[]> {
  return (await database.query<KeyRow>(byRequestId, [requestIds])).map(storedKey);
}

/** Allowed kinds travel joined by commas: an array of arrays cannot be unnested row by row. */
const insert: Statement = {
  name: 'worker_insert_keys',
  text: `with told as (${insertEntriesText(17)})
    insert into wrapped_key (${columns})
    select key_id, request_id, key_store, organisation, scheme, curve, public_key, blob, wrap_algorithm, wrap_mechanism,
      master_key_id, integrity_key_id, string_to_array(allowed_kinds, ','), status, tag, attestation
    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::text[],
      $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[], $16::bytea[])
      as row (key_id, request_id, key_store, organisation, scheme, curve, public_key, blob, wrap_algorithm, wrap_mechanism,
        master_key_id, integrity_key_id, allowed_kinds, status, tag, attestation)
    on conflict do nothing
    returning request_id`,
};

/**
 * One statement with the keys' audit entries, rows in the order of their request ids, so that two nodes with the same
 * requests wait for each other instead of dead-locking. A row whose request or key id exists is left out.
 * @returns the request ids that were inserted; committed durably.
 */
export async function insertKeys(
  database: Pick<DriverDatabase, 'query'>,
  keys: readonly StoredKey[],
  audit: AuditRows,
): Promise<Set<string>> {
  const sorted = keys.toSorted((a, b) => (a.key.requestId < b.key.requestId ? -1 : 1));
  const column = <Value>(value: (stored: StoredKey) => Value): Value[] => sorted.map(value);
  const rows = await database.query<{ request_id: string }>(insert, [
    column(({ key }) => key.keyId),
    column(({ key }) => key.requestId),
    column(({ key }) => key.keyStore),
    column(({ key }) => key.organisation),
    column(({ key }) => key.type.scheme),
    column(({ key }) => key.type.curve),
    column(({ key }) => Buffer.from(key.publicKey, 'hex')),
    column(({ key }) => asBuffer(key.blob)),
    column(({ key }) => key.wrapAlgorithm),
    column(({ key }) => key.wrapMechanism),
    column(({ key }) => key.masterKeyId),
    column(({ key }) => key.integrityKeyId),
    column(({ key }) => key.allowedKinds.join(',')),
    column(({ key }) => key.status),
    column(({ key }) => asBuffer(key.tag)),
    column(({ attestation }) => Buffer.from(attestation, 'base64url')),
    ...auditParameters(audit),
  ]);
  return new Set(rows.map((row) => row.request_id));
}

/** Bytes that crossed a thread arrive as Uint8Array, which pg would not take for bytea inside an array. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function storedKey(row: KeyRow): StoredKey {
  return {
    key: {
      keyId: row.key_id,
      requestId: row.request_id,
      keyStore: row.key_store,
      organisation: row.organisation,
      // Any text: whoever uses the key compares it with what the request says, and the tag covers it.
      type: { scheme: row.scheme, curve: row.curve } as KeyType,
      publicKey: row.public_key.toString('hex'),
      blob: row.blob,
      wrapAlgorithm: row.wrap_algorithm,
      wrapMechanism: Number(row.wrap_mechanism),
      masterKeyId: row.master_key_id,
      integrityKeyId: row.integrity_key_id,
      allowedKinds: row.allowed_kinds,
      status: row.status,
      tag: row.tag,
    },
    attestation: row.attestation.toString('base64url'),
  };
}
