import type pg from 'pg';
import type { Authorisation } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import { type Page, pageClause, positionColumn } from '../page.ts';
import type { WalletToBe } from './complete-wallets.ts';

/** A key on a network. Its address is never stored: it comes from the attested public key whenever it is shown. */
export interface Wallet extends WalletToBe {
  readonly id: string;
  readonly organisation: string;
  readonly network: string;
  readonly keyId: string;
  /** The user action that made it. */
  readonly authorisation?: Authorisation;
  readonly status: 'Active' | 'Archived';
  readonly createdAt: Date;
  readonly archivedAt?: Date;
}

export interface WalletOfKey {
  readonly id: string;
  readonly network: string;
}

interface WalletRecord {
  readonly id: string;
  readonly organisation: string;
  readonly network: string;
  readonly key_id: string;
  readonly name: string | null;
  readonly external_id: string | null;
  readonly tags: string[];
  readonly authorisation: Authorisation | null;
  readonly status: Wallet['status'];
  readonly created_at: Date;
  readonly archived_at: Date | null;
}

const walletColumns =
  'id, organisation, network, key_id, name, external_id, tags, authorisation, status, created_at, archived_at';

/** @throws NOT_FOUND for a wallet that does not exist or is another organisation's. */
export async function requireWallet(
  database: pg.Pool | pg.ClientBase,
  organisation: string,
  walletId: string,
): Promise<Wallet> {
  const { rows } = await database.query<WalletRecord>(
    `select ${walletColumns} from wallet where id = $1 and organisation = $2`,
    [walletId, organisation],
  );
  if (rows[0] === undefined) throw new CodedError('NOT_FOUND', `wallet ${walletId}`);
  return walletOf(rows[0]);
}

/** One more than the page's limit when there is another page. */
export async function listWallets(pool: pg.Pool, organisation: string, page: Page) {
  const { where, values } = pageClause(page, 2);
  const { rows } = await pool.query<WalletRecord & { position: string }>(
    `select ${walletColumns}, ${positionColumn()} from wallet where organisation = $1 ${where}`,
    [organisation, ...values],
  );
  return rows.map((row) => ({ wallet: walletOf(row), id: row.id, position: row.position }));
}

export async function walletsOfKey(pool: pg.Pool, organisation: string, keyId: string): Promise<WalletOfKey[]> {
  const { rows } = await pool.query<WalletOfKey>(
    'select id, network from wallet where key_id = $1 and organisation = $2 order by created_at, id',
    [keyId, organisation],
  );
  return rows;
}

/**
 * A wallet of a key that is there. The key's row is held until the transaction ends, so that it cannot be archived in
 * between.
 * @throws BAD_REQUEST for an archived key, WALLET_EXISTS
 */
export async function insertWallet(
  client: pg.ClientBase,
  wallet: WalletToBe &
    Pick<Wallet, 'id' | 'organisation' | 'network' | 'keyId'> & { readonly authorisation: Authorisation },
): Promise<void> {
  const { id, organisation, network, keyId, name, externalId, tags, authorisation } = wallet;
  const key = await client.query("select 1 from key where id = $1 and status = 'Active' for key share", [keyId]);
  if (key.rowCount !== 1) throw new CodedError('BAD_REQUEST', `key ${keyId} is archived`);
  const { rowCount } = await client.query(
    `insert into wallet (id, organisation, network, key_id, name, external_id, tags, authorisation)
     values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (key_id, network) do nothing`,
    [id, organisation, network, keyId, name ?? null, externalId ?? null, tags, JSON.stringify(authorisation)],
  );
  if (rowCount !== 1) throw new CodedError('WALLET_EXISTS', `key ${keyId}, network ${network}`);
}

/** What an organisation may change of its wallet; `undefined`: stays, `null`: is removed. @throws NOT_FOUND */
export async function updateWallet(
  client: pg.ClientBase,
  organisation: string,
  walletId: string,
  change: { readonly name?: string | null | undefined; readonly externalId?: string | null | undefined },
): Promise<void> {
  const wallet = await requireWallet(client, organisation, walletId);
  const { name = wallet.name ?? null, externalId = wallet.externalId ?? null } = change;
  await client.query('update wallet set name = $3, external_id = $4 where id = $1 and organisation = $2', [
    walletId,
    organisation,
    name,
    externalId,
  ]);
}

/** @throws NOT_FOUND */
export async function setTags(
  client: pg.ClientBase,
  organisation: string,
  walletId: string,
  change: (before: readonly string[]) => readonly string[],
): Promise<void> {
  const { rows } = await client.query<{ tags: string[] }>(
    'select tags from wallet where id = $1 and organisation = $2 for update',
    [walletId, organisation],
  );
  if (rows[0] === undefined) throw new CodedError('NOT_FOUND', `wallet ${walletId}`);
  await client.query('update wallet set tags = $2 where id = $1', [walletId, change(rows[0].tags)]);
}

function walletOf(record: WalletRecord): Wallet {
  return {
    id: record.id,
    organisation: record.organisation,
    network: record.network,
    keyId: record.key_id,
    ...(record.name === null ? {} : { name: record.name }),
    ...(record.external_id === null ? {} : { externalId: record.external_id }),
    tags: record.tags,
    ...(record.authorisation === null ? {} : { authorisation: record.authorisation }),
    status: record.status,
    createdAt: record.created_at,
    ...(record.archived_at === null ? {} : { archivedAt: record.archived_at }),
  };
}
