import type { KeyObject } from 'node:crypto';
import type pg from 'pg';
import { CodedError } from '../errors.ts';
import type { ClockReading } from '../orders/clock.ts';
import type { Operators } from '../orders/operators.ts';
import type { SignedOrder } from '../orders/order.ts';
import { orderTime } from '../orders/order-time.ts';
import { approvedCredentials, readCredentialList } from './credential-list.ts';
import { approvedClaim, claimedTextText, claimsPage, claimsText, type ListClaim } from './list-claims.ts';

type Client = Pick<pg.ClientBase, 'query'>;

/** By whose word a list counts. */
export interface ListAuthority {
  readonly keyStore: string;
  /** Without operators there is no list. */
  readonly operators: Operators | undefined;
  readonly attestationKey: KeyObject;
}

export interface StoredList {
  readonly version: number;
  readonly text: string;
}

/**
 * The newest list in the driver database that a node with these operators would put in force now, whatever else lies there.
 * @param least the lowest version that is of interest.
 */
export async function newestList(client: Client, authority: ListAuthority, least = 1): Promise<StoredList | undefined> {
  const { operators } = authority;
  if (operators === undefined) return undefined;
  const clock = await readClock(client);
  for (const seen: string[] = []; ; ) {
    const { rows: claims } = await client.query<ListClaim>(claimsText, [least, seen]);
    for (const claim of claims) {
      const text = await believedText(client, claim, { ...authority, operators }, clock);
      if (text !== undefined) return { version: claim.version, text };
      seen.push(claim.id);
    }
    if (claims.length < claimsPage) return undefined;
  }
}

async function believedText(
  client: Client,
  claim: ListClaim,
  authority: ListAuthority & { readonly operators: Operators },
  clock: ClockReading,
): Promise<string | undefined> {
  const { keyStore, operators } = authority;
  try {
    const { signed, sha256 } = approvedClaim(claim, keyStore, operators);
    if ('refused' in orderTime(signed.order, claim.attestations, authority, clock)) return undefined;
    const { rows } = await client.query<{ text: string }>(claimedTextText, [claim.id, sha256]);
    const text = rows[0]?.text;
    if (text !== undefined) approvedCredentials(text, signed, keyStore, operators);
    return text;
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}

async function readClock(client: Client): Promise<ClockReading> {
  const { rows } = await client.query<{ ms: string }>('select extract(epoch from clock_timestamp()) * 1000 as ms');
  const nowMs = Date.now();
  return { nowMs, aheadMs: nowMs - Number(rows[0]?.ms) };
}

/**
 * @param text a list that was approved by this order.
 * @throws CREDENTIAL_LIST_OLD where a good list of this or a higher version is there.
 */
export async function insertList(
  client: Client,
  authority: ListAuthority,
  { text, order, node }: { readonly text: string; readonly order: SignedOrder; readonly node: string },
): Promise<void> {
  const { version } = readCredentialList(text);
  const other = await newestList(client, authority, version);
  if (other !== undefined)
    throw new CodedError('CREDENTIAL_LIST_OLD', `version ${version}; version ${other.version} is installed`);
  await client.query('insert into credential_list (version, list, signed_order, node) values ($1, $2, $3, $4)', [
    version,
    text,
    JSON.stringify(order),
    node,
  ]);
}
