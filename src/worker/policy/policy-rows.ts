import { claimedTextText, claimsText, type ListClaim } from '../../shared/credential-list/list-claims.ts';
import type { FreezeScope } from '../../shared/freezes/freeze.ts';
import type { DriverDatabase, Statement } from '../database.ts';

/** An order as a row has it, and what the database says workers attested of it. */
interface RowOrder {
  /** Null for a thaw that nobody signed. */
  readonly order: unknown;
  readonly attestations: readonly string[];
}

/** What the driver database says of the key store's policy. Rows are hints: what they claim is checked by their readers. */
export interface PolicyRows {
  /** The database's clock, unix ms. */
  readonly clockMs: number;
  readonly freezes: readonly { readonly id: string; readonly scope: FreezeScope; readonly subject: string }[];
  readonly thaws: readonly ({ readonly id: string; readonly freeze: string } & RowOrder)[];
  /** The highest versions first; only those that were asked for, and a page of them at most. */
  readonly claims: readonly ListClaim[];
}

const attestations = `(select coalesce(jsonb_agg(attestation), '[]') from order_in_force
  where order_id = signed_order->'order'->>'id')`;

const select: Statement = {
  name: 'worker_policy',
  text: `select extract(epoch from clock_timestamp()) * 1000 as clock_ms,
    (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'scope', scope, 'subject', subject)), '[]') from frozen)
      as freezes,
    (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'freeze', frozen, 'order', signed_order,
        'attestations', ${attestations})), '[]') from thawed) as thaws,
    (select coalesce(jsonb_agg(to_jsonb(page) order by version desc, id), '[]') from (${claimsText}) page) as claims`,
};

const selectText: Statement = { name: 'worker_claimed_list', text: claimedTextText };

/** @param above the lowest version that is of use. @param except ids of claims that were looked at already. */
export async function selectPolicy(
  database: Pick<DriverDatabase, 'query'>,
  above: number,
  except: readonly string[],
): Promise<PolicyRows> {
  const [row] = await database.query<{
    clock_ms: string;
    freezes: PolicyRows['freezes'];
    thaws: PolicyRows['thaws'];
    claims: PolicyRows['claims'];
  }>(select, [above, except]);
  if (row === undefined) throw new Error('a select without from has one row');
  return { clockMs: Number(row.clock_ms), freezes: row.freezes, thaws: row.thaws, claims: row.claims };
}

/** @returns undefined where the claim's text has another hash. */
export async function selectClaimedText(
  database: Pick<DriverDatabase, 'query'>,
  id: string,
  sha256: string,
): Promise<string | undefined> {
  const [row] = await database.query<{ text: string }>(selectText, [id, sha256]);
  return row?.text;
}
