import type { KeyObject } from 'node:crypto';
import type pg from 'pg';
import { attestationHolds } from '../shared/crypto/attestation.ts';
import { CodedError } from '../shared/errors.ts';
import { type KeyType, keyTypes } from '../shared/keys.ts';

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
}

interface KeyRecord {
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
}

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
 * An organisation's key; `undefined` for one that does not exist or is another's.
 * @param pinned attestation public keys by key store, from the configuration.
 * @throws ATTESTATION_INVALID: somebody wrote this row who is not the HSM; nothing of it may be used or shown.
 */
export async function readKey(
  pool: pg.Pool,
  organisation: string,
  keyId: string,
  pinned: ReadonlyMap<string, KeyObject>,
): Promise<Key | undefined> {
  const { rows } = await pool.query<KeyRecord>(
    `select id, organisation, key_store, request_id, scheme, curve, public_key, attestation, name, status, created_at
     from key where id = $1 and organisation = $2`,
    [keyId, organisation],
  );
  return rows[0] && attestedKey(rows[0], pinned);
}

/** Every read of a key goes through here. */
function attestedKey(record: KeyRecord, pinned: ReadonlyMap<string, KeyObject>): Key {
  const type = keyTypes.find(({ scheme, curve }) => scheme === record.scheme && curve === record.curve);
  const attestationKey = pinned.get(record.key_store);
  const { id, organisation, key_store: keyStore, request_id: requestId, public_key: publicKey, attestation } = record;
  if (
    type === undefined ||
    attestationKey === undefined ||
    !attestationHolds(attestationKey, { keyStore, organisation, keyId: id, requestId, type, publicKey }, attestation)
  ) {
    throw new CodedError('ATTESTATION_INVALID', `of key ${id}, key store ${keyStore}`);
  }
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
