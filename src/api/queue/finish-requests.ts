import type pg from 'pg';
import type { Signature } from '../../shared/driver-protocol.ts';
import { graceMs } from './capacity.ts';
import { maxAttempts } from './expiry.ts';
import { presenceMs } from './lease.ts';
import { type EndRecord, endColumns, ofRequest } from './request-row.ts';

/** What an accepted outcome makes of its request. */
export type RequestUpdate = { readonly id: string } & (
  | { readonly state: 'made'; readonly public_key: string }
  | { readonly state: 'signed'; readonly public_key: string; readonly signatures: readonly Signature[] }
  | { readonly state: 'failed'; readonly error_code: string; readonly error_message: string }
  | {
      readonly state: 'queued';
      /** As an attempt, where this slot says so for the first time; as a repeated fault, where it had said so before. */
      readonly counts: boolean;
      readonly repeats: boolean;
      readonly not_opened?: true;
      readonly error_code: string;
      readonly error_message: string;
    }
);

/** A request at which slots failed again, after they all had handed it back, this often has failed. */
export const maxRepeatedFaults = 10;
/** What all slots have handed back rests so long before one of them tries again: no circle as fast as the network is. */
const restMs = 1_000;
/**
 * From the second slot on whose HSM failed at it, a request rests for everybody, the longer the more there were. The slots may
 * all hang on one HSM or one network that is away for a moment: five of them say no in milliseconds, and none of them is asked
 * again. By attempts, from the second one; together less than a minute.
 */
const restsAfterAttemptsMs = [1_000, 5_000, 30_000];

/**
 * One statement for the batch. A device fault counts as an attempt only once per slot: one that already gave this request
 * back says nothing new about it, however often its worker was replaced. Such repeated faults are bounded by themselves. A
 * key that a slot did not open goes to one other slot that can do it; when there is none that takes work or did a moment ago, or
 * that one says the same, the key is what is broken.
 * @returns the rows that are final now.
 */
export async function finishRequests(
  client: pg.ClientBase,
  instance: string,
  updates: readonly RequestUpdate[],
): Promise<EndRecord[]> {
  const { rows } = await client.query<EndRecord>({
    ...finishing,
    values: [
      JSON.stringify(updates),
      instance,
      maxAttempts,
      updates.map(({ id }) => id),
      presenceMs,
      maxRepeatedFaults,
      restMs,
      restsAfterAttemptsMs,
      graceMs,
    ],
  });
  return rows.filter((row) => row.state !== 'queued');
}

const finishing = {
  name: 'api_finish_requests',
  text: `with told as (
       select * from jsonb_to_recordset($1::jsonb) as t (id text, state text, public_key text, signatures jsonb,
         error_code text, error_message text, counts boolean, repeats boolean, not_opened boolean)
     ), me as (
       select node, slot, node || '/' || slot as place from driver_instance where id = $2
     ), counted as (
       select told.*, me.place, again,
         request.attempts + case when told.counts and not again then 1 else 0 end as tried,
         request.repeated_faults + case when told.repeats and again then 1 else 0 end as repeated,
         coalesce(told.not_opened, false) and (coalesce(request.not_opened_at <> me.place, false) or not exists (
           select 1 from driver_instance other
           where other.key_store = request.key_store and (other.node, other.slot) <> (me.node, me.slot)
             and other.ended_at is null and other.seen_at > now() - $5 * interval '1 millisecond'
             and coalesce(other.takes_nothing_since > now() - $9 * interval '1 millisecond', true)
             and request.capability = any(other.capabilities))) as broken
       from told join request using (id) cross join me cross join lateral (
         select exists (
           select 1 from driver_instance earlier
           where earlier.id = any(request.given_back) and (earlier.node, earlier.slot) = (me.node, me.slot)) as again
       ) before
       where request.id = any($4)
     ), judged as (
       select counted.*, state = 'queued' and (broken or tried >= $3 or repeated >= $6) as hopeless from counted
     )
     update request set
       state = case when c.hopeless then 'failed' else c.state end,
       attempts = c.tried,
       repeated_faults = c.repeated,
       rests_until = case when c.state = 'queued' then
         now() + case when c.again then $7 when c.counts then ($8::float8[])[c.tried - 1] end * interval '1 millisecond' end,
       public_key = coalesce(c.public_key, request.public_key),
       signatures = c.signatures,
       error_code = case when c.hopeless and not c.broken then 'ATTEMPTS_EXHAUSTED'
         when c.hopeless or c.state <> 'queued' then c.error_code end,
       error_message = case when c.hopeless and not c.broken then
           'slots failed at it ' || c.tried + c.repeated || ' times, at last: ' || c.error_code || ': ' || c.error_message
         when c.hopeless or c.state <> 'queued' then c.error_message end,
       not_opened_at = case when c.not_opened then coalesce(request.not_opened_at, c.place) else request.not_opened_at end,
       given_back = case when c.state = 'queued' then array_append(array_remove(given_back, $2::uuid), $2::uuid) else given_back end,
       instance = null, lease = null, lease_until = null,
       done_at = case when c.state = 'queued' and not c.hopeless then null else now() end
     from judged c where request.id = c.id and request.id = any($4)
     returning ${ofRequest(endColumns)}`,
};
