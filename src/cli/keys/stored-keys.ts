import type pg from 'pg';
import type { KeyType } from '../../shared/keys.ts';

/** A row of `wrapped_key` as people look at it: without the blob. */
export interface KeyFacts {
  readonly keyId: string;
  readonly requestId: string;
  readonly keyStore: string;
  readonly organisation: string;
  readonly type: KeyType;
  /** Hex, as in src/shared/keys.ts. */
  readonly publicKey: string;
  readonly status: string;
  readonly wrapAlgorithm: string;
  readonly masterKeyId: string;
  readonly integrityKeyId: string;
  /** Empty: all. */
  readonly allowedKinds: readonly string[];
  readonly createdAt: Date;
  /** base64url. */
  readonly attestation: string;
}

export interface KeyFilter {
  readonly organisation?: string | undefined;
  readonly status?: string | undefined;
  readonly masterKeyId?: string | undefined;
  /** Keys behind this id, in the order of ids. */
  readonly after?: string | undefined;
  readonly limit: number;
}

interface Row {
  key_id: string;
  request_id: string;
  key_store: string;
  organisation: string;
  scheme: string;
  curve: string;
  public_key: Buffer;
  status: string;
  wrap_algorithm: string;
  master_key_id: string;
  integrity_key_id: string;
  allowed_kinds: string[];
  created_at: Date;
  attestation: Buffer;
}

const columns = `key_id, request_id, key_store, organisation, scheme, curve, public_key, status, wrap_algorithm, master_key_id,
  integrity_key_id, allowed_kinds, created_at, attestation`;

/** One page in the order of ids: the next one begins behind the last id of this one, however many keys there are. */
export async function listKeys(
  pool: pg.Pool,
  { organisation, status, masterKeyId, after = '', limit }: KeyFilter,
): Promise<readonly KeyFacts[]> {
  const { rows } = await pool.query<Row>(
    `select ${columns} from wrapped_key
     where key_id > $1 and ($2::text is null or organisation = $2) and ($3::text is null or status = $3)
       and ($4::text is null or master_key_id = $4)
     order by key_id limit $5`,
    [after, organisation ?? null, status ?? null, masterKeyId ?? null, limit],
  );
  return rows.map(factsOf);
}

/** @returns undefined where there is no such key. */
export async function findKey(pool: pg.Pool, keyId: string): Promise<KeyFacts | undefined> {
  const { rows } = await pool.query<Row>(`select ${columns} from wrapped_key where key_id = $1`, [keyId]);
  return rows[0] === undefined ? undefined : factsOf(rows[0]);
}

/** What the journal knows of the use of a key. */
export interface KeyUse {
  readonly signatures: number;
  readonly lastSignedAt: Date | null;
}

/** Reads the whole journal, which has no index by key: signing pays for none. Patience of half a minute. */
export async function keyUse(pool: pg.Pool, keyId: string): Promise<KeyUse> {
  const { rows } = await pool.query<{ signatures: string; last: Date | null }>(
    'select count(*) as signatures, max(signed_at) as last from journal where key_id = $1',
    [keyId],
  );
  return { signatures: Number(rows[0]?.signatures ?? 0), lastSignedAt: rows[0]?.last ?? null };
}

function factsOf(row: Row): KeyFacts {
  return {
    keyId: row.key_id,
    requestId: row.request_id,
    keyStore: row.key_store,
    organisation: row.organisation,
    type: { scheme: row.scheme, curve: row.curve } as KeyType,
    publicKey: row.public_key.toString('hex'),
    status: row.status,
    wrapAlgorithm: row.wrap_algorithm,
    masterKeyId: row.master_key_id,
    integrityKeyId: row.integrity_key_id,
    allowedKinds: row.allowed_kinds,
    createdAt: row.created_at,
    attestation: row.attestation.toString('base64url'),
  };
}
