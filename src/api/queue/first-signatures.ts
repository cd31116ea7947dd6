import type pg from 'pg';
import type { Outcome, OutcomesCall } from '../../shared/driver-protocol.ts';
import { haveRecids } from './judge.ts';
import type { DriverNode } from './lease.ts';
import { type EndRecord, endColumns, ofRequest } from './request-row.ts';

/**
 * What nearly every outcome is: the first signatures of an open request, as many as were asked for, with the public key
 * that the API knows. The database accepts these in one statement; whatever it does not take is judged (judge.ts, which
 * has the same rule in words).
 * @param pool durable: what is returned is on disk.
 * @returns the requests that are signed now, by id.
 */
export async function acceptFirstSignatures(
  pool: pg.Pool,
  node: DriverNode,
  call: OutcomesCall,
): Promise<ReadonlyMap<string, EndRecord>> {
  const told = new Map<string, Record<string, unknown>>();
  for (const { id, result } of call.outcomes) {
    if (result.kind !== 'Signatures' || told.has(id)) continue;
    const { publicKey, signatures } = result;
    told.set(id, { id, public_key: publicKey, signatures, recids: haveRecids(signatures) });
  }
  if (told.size === 0) return new Map();
  const { rows } = await pool.query<EndRecord>({
    ...accepting,
    values: [JSON.stringify([...told.values()]), [...told.keys()], node.keyStore, call.instance, node.name],
  });
  return new Map(rows.map((row) => [row.id, row]));
}

/** A second outcome for the same request is another one: it is judged. */
export function restOf(call: OutcomesCall, accepted: ReadonlyMap<string, EndRecord>): Outcome[] {
  const seen = new Set<string>();
  return call.outcomes.filter(({ id }) => {
    const first = accepted.has(id) && !seen.has(id);
    seen.add(id);
    return !first;
  });
}

/**
 * Only a Sign has digests; its kind is not asked for, or a planner without statistics takes the index of all signatures.
 * Rows are locked in the order of their ids, as judged ones are: two calls never wait for each other in a circle.
 */
const accepting = {
  name: 'api_accept_first_signatures',
  text: `with told as materialized (
       select * from jsonb_to_recordset($1::jsonb) as t (id text, public_key text, signatures jsonb, recids boolean)
     ), open as materialized (
       select r.id from request r
       where r.id = any($2) and r.key_store = $3 and r.digests is not null and r.state in ('queued', 'leased')
         and exists (select from driver_instance where driver_instance.id = $4 and node = $5)
       order by r.id for update
     )
     update request set state = 'signed', public_key = told.public_key, signatures = told.signatures,
       instance = null, lease = null, lease_until = null, done_at = now()
     from told join open using (id)
     where request.id = open.id and request.id = any($2)
       and cardinality(request.digests) = jsonb_array_length(told.signatures)
       and (told.recids or request.curve <> 'secp256k1')
       and (select key.public_key from key where key.id = request.key_id) = told.public_key
     returning ${ofRequest(endColumns)}`,
};
