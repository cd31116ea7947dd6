import type { KeyObject } from 'node:crypto';
import type pg from 'pg';
import { CodedError } from '../shared/errors.ts';
import { type KeyType, keyTypes } from '../shared/keys.ts';
import { createLeastRecentlyUsed } from '../shared/least-recently-used.ts';
import { type AttestationChecks, createAttestationChecks } from './attestation-checks.ts';
import { type Page, pageClause, positionColumn } from './page.ts';

/** A key as the API knows it: public, and attested by its HSM. */
export interface NewKey {
  readonly id: string;
  readonly organisation: string;
  readonly keyStore: string;
  /** The GenerateKey request that made it. */
  readonly requestId: string;
  readonly type: KeyType;
  /** As in src/shared/keys.ts. */
  readonly publicKey: string;
  /** base64url; see src/shared/crypto/attestation.ts. */
  readonly attestation: string;
  readonly name?: string;
}

export interface Key extends NewKey {
  readonly status: 'Active' | 'Archived';
  readonly createdAt: Date;
  readonly archivedAt?: Date;
}

export interface KeyRecord {
  readonly id: string;
  readonly organisation: string;
  readonly key_store: string;
  readonly request_id: string;
  readonly scheme: string;
  readonly curve: string;
  readonly public_key: string;
  readonly attestation: string;
  readonly name: string | null;
  readonly status: Key['status'];
  readonly created_at: Date;
  readonly archived_at: Date | null;
}

const keyColumns = `id, organisation, key_store, request_id, scheme, curve, public_key, attestation, name, status,
  created_at, archived_at`;

/**
 * Inside the transaction that completes the requests. The caller has checked the attestations; a key that is there
 * already is an error, never overwritten.
 */
export async function insertKeys(client: pg.ClientBase, keys: readonly NewKey[]): Promise<void> {
  await client.query(
    `insert into key (id, organisation, key_store, request_id, scheme, curve, public_key, attestation, name)
     select id, organisation, key_store, request_id, scheme, curve, public_key, attestation, name
     from jsonb_to_recordset($1::jsonb) as k (id text, organisation text, key_store text, request_id text, scheme text,
       curve text, public_key text, attestation text, name text)`,
    [JSON.stringify(keys.map(insertable))],
  );
}

/**
 * The only way to a key's public key: each read checks the attestation of what was read.
 * All throw ATTESTATION_INVALID: somebody wrote the row who is not the HSM, and nothing of it may be used or shown.
 */
export interface Keys {
  /** An organisation's key; `undefined` for one that does not exist or is another's. */
  find(organisation: string, keyId: string): Promise<Key | undefined>;
  /** An active key as it was read last, or as it is: the caller checks that it still is so. @throws NOT_FOUND */
  recall(organisation: string, keyId: string): Promise<Key>;
  /** @throws NOT_FOUND */
  require(organisation: string, keyId: string): Promise<Key>;
  /** By id; those that are not the organisation's are missing. */
  findAll(organisation: string, keyIds: readonly string[]): Promise<ReadonlyMap<string, Key>>;
  /** One more than the page's limit when there is another page. */
  list(organisation: string, page: Page): Promise<{ readonly key: Key; readonly id: string; position: string }[]>;
}

/** So many keys that signed lately are kept, about 600 bytes each. */
const rememberedKeys = 20_000;

const byId = { name: 'api_key_by_id', text: `select ${keyColumns} from key where id = $1 and organisation = $2` };

/** @param pinned attestation public keys by key store, from the configuration. */
export function createKeys(pool: pg.Pool, pinned: ReadonlyMap<string, KeyObject>): Keys {
  const checks = createAttestationChecks(pinned);
  const find = async (organisation: string, keyId: string): Promise<Key | undefined> => {
    const { rows } = await pool.query<KeyRecord>({ ...byId, values: [keyId, organisation] });
    return rows[0] && attestedKey(rows[0], checks);
  };

  const memory = createLeastRecentlyUsed<string, Key>(rememberedKeys);
  const require = async (organisation: string, keyId: string): Promise<Key> => {
    memory.delete(keyId);
    const key = await find(organisation, keyId);
    if (key === undefined) throw new CodedError('NOT_FOUND', `key ${keyId}`);
    if (key.status === 'Active') memory.set(keyId, key);
    return key;
  };

  return {
    find,
    async recall(organisation, keyId) {
      const key = memory.get(keyId);
      return key?.organisation === organisation ? key : await require(organisation, keyId);
    },
    require,
    async findAll(organisation, keyIds) {
      const { rows } = await pool.query<KeyRecord>(
        `select ${keyColumns} from key where id = any($1) and organisation = $2`,
        [keyIds, organisation],
      );
      return new Map(rows.map((row) => [row.id, attestedKey(row, checks)]));
    },
    async list(organisation, page) {
      const { where, values } = pageClause(page, 2);
      const { rows } = await pool.query<KeyRecord & { position: string }>(
        `select ${keyColumns}, ${positionColumn()} from key where organisation = $1 ${where}`,
        [organisation, ...values],
      );
      return rows.map((row) => ({ key: attestedKey(row, checks), id: row.id, position: row.position }));
    },
  };
}

/** Every read of a key goes through here. */
function attestedKey(record: KeyRecord, checks: AttestationChecks): Key {
  const type = keyTypes.find(({ scheme, curve }) => scheme === record.scheme && curve === record.curve);
  const { id, organisation, key_store: keyStore, request_id: requestId, public_key: publicKey, attestation } = record;
  if (
    type === undefined ||
    !checks.hold({ keyStore, organisation, keyId: id, requestId, type, publicKey }, attestation)
  )
    throw new CodedError('ATTESTATION_INVALID', `of key ${id}, key store ${keyStore}`);
  return {
    id,
    organisation,
    keyStore,
    requestId,
    type,
    publicKey,
    attestation,
    ...(record.name === null ? {} : { name: record.name }),
    status: record.status,
    createdAt: record.created_at,
    ...(record.archived_at === null ? {} : { archivedAt: record.archived_at }),
  };
}

function insertable(key: NewKey): Record<string, unknown> {
  return {
    id: key.id,
    organisation: key.organisation,
    key_store: key.keyStore,
    request_id: key.requestId,
    scheme: key.type.scheme,
    curve: key.type.curve,
    public_key: key.publicKey,
    attestation: key.attestation,
    name: key.name ?? null,
  };
}
