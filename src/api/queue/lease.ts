import type pg from 'pg';
import type { LeaseCall, LeasedRequest } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import type { KeyType } from '../../shared/keys.ts';

/** How long a lease lasts without renewal. Far longer than a death takes to be seen; see presence.ts. */
export const leaseMs = 15_000;
/**
 * A lease that was given or renewed less than this ago is left as it is: each renewal writes the row anew, and an
 * instance at work calls dozens of times a second.
 */
const renewedAfterMs = 5_000;
/** An instance not seen for this long is gone, and its leases end. */
export const presenceMs = 1_500;

/**
 * Requests at their second attempt that may go out together. One of them may be what ended the last worker, so they are
 * few, and nothing else is worked on beside them; if it happens again, each goes alone. All alone from the second attempt on,
 * the 200 that a node at work may hold when it dies would cost the others seconds.
 */
const togetherAtSecondAttempt = 16;

/**
 * A worker that cannot work (its HSM, its database or its clock) goes on calling and asks for nothing. One that has its hands
 * full asks for nothing either, and works.
 */
export function takesWork(call: Pick<LeaseCall, 'max' | 'holding'>): boolean {
  return call.max > 0 || call.holding.length > 0;
}

/** The node a call comes from, by its client certificate. */
export interface DriverNode {
  readonly name: string;
  readonly keyStore: string;
}

/**
 * First half of a lease call: notes the instance, renews what it holds, and takes back everything else it was given
 * (an answer it never got, or work it gives back).
 * @returns how many requests went back to the queue.
 * @throws INSTANCE_OF_OTHER_NODE, INSTANCE_ENDED
 */
export async function renew(pool: pg.Pool, node: DriverNode, call: LeaseCall): Promise<number> {
  const { rows } = await pool.query<{ alive: number; returned: number }>({
    ...renewal,
    values: [
      ...[call.instance, node.name, node.keyStore, call.slot, call.capabilities, call.holding],
      ...[leaseMs, leaseMs - renewedAfterMs, takesWork(call)],
    ],
  });
  if (rows[0]?.alive === 1) return rows[0].returned;
  throw await refusal(pool, node, call.instance);
}

/**
 * It waits for no request’s row: one that somebody holds is being answered or taken back at this moment, and who waits for
 * one while others wait for those it has changed makes a circle.
 */
const renewal = {
  name: 'api_renew_leases',
  text: `with me as (
       insert into driver_instance (id, node, key_store, slot, capabilities, takes_nothing_since)
       values ($1, $2, $3, $4, $5, case when not $9::boolean then '-infinity'::timestamptz end)
       on conflict (id) do update set seen_at = now(), capabilities = excluded.capabilities,
           takes_nothing_since = case when not $9 then coalesce(driver_instance.takes_nothing_since, now()) end
         where driver_instance.node = excluded.node and driver_instance.ended_at is null
       returning id
     ), due as (
       select request.id from me join request on request.instance = me.id
       where request.state = 'leased' and request.id = any($6)
         and request.lease_until < now() + $8 * interval '1 millisecond'
       for update of request skip locked
     ), renewed as (
       update request set lease_until = now() + $7 * interval '1 millisecond'
       from due where request.id = due.id
     ), left_over as (
       select request.id from me join request on request.instance = me.id
       where request.state = 'leased' and request.id <> all($6)
       for update of request skip locked
     ), returned as (
       update request set state = 'queued', instance = null, lease = null, lease_until = null,
         given_back = array_append(array_remove(given_back, $1::uuid), $1::uuid)
       from left_over where request.id = left_over.id
       returning request.id
     )
     select (select count(*) from me)::int as alive, (select count(*) from returned)::int as returned`,
};

async function refusal(pool: pg.Pool, node: DriverNode, instance: string): Promise<CodedError> {
  const { rows } = await pool.query<{ node: string }>('select node from driver_instance where id = $1', [instance]);
  return rows[0]?.node === node.name
    ? new CodedError('INSTANCE_ENDED', instance)
    : new CodedError('INSTANCE_OF_OTHER_NODE', `${instance}, called by ${node.name}`);
}

interface TakenRecord {
  readonly id: string;
  readonly lease: string;
  readonly attempt: number;
  readonly kind: LeasedRequest['kind'];
  readonly organisation: string;
  readonly key_id: string;
  readonly scheme: string;
  readonly curve: string;
  readonly digests: readonly Buffer[] | null;
  readonly look_up: boolean;
  readonly queued_ms: number;
  readonly authorisation: LeasedRequest['authorisation'];
}

/**
 * Second half: takes up to `max` waiting requests that the instance can do, by priority and turn.
 * - What was tried once before comes in small groups of its like, what was tried more often alone: a poison request takes
 *   no neighbours along.
 * - One that this instance gave back goes to another capable instance while one lives and takes work; when all have given
 *   it back, it rests for a while.
 * - One at which slots have failed again and again rests for everybody (finish-requests.ts).
 */
export async function take(
  pool: pg.Pool,
  node: DriverNode,
  call: Pick<LeaseCall, 'instance' | 'capabilities' | 'max'>,
): Promise<LeasedRequest[]> {
  const { rows } = await pool.query<TakenRecord>({
    ...taking,
    values: [
      ...[node.keyStore, call.capabilities, call.instance, call.max, leaseMs, presenceMs],
      togetherAtSecondAttempt,
    ],
  });
  return rows.map(leased);
}

const taking = {
  name: 'api_take_requests',
  text: `with waiting as (
       select r.id, r.attempts, r.priority, r.turn
       from unnest($2::text[]) as wanted (capability)
       cross join lateral (
         select id, attempts, priority, turn from request
         where key_store = $1 and request.capability = wanted.capability and state = 'queued'
           and (expires_at is null or expires_at > now())
           and (attempts < 2 or coalesce(rests_until <= now(), true))
           and (given_back = '{}' or $3::uuid <> all(given_back) or coalesce(rests_until <= now(), true) and not exists (
             select 1 from driver_instance other
             where other.key_store = $1 and other.ended_at is null and other.seen_at > now() - $6 * interval '1 millisecond'
               and coalesce(other.takes_nothing_since > now() - $6 * interval '1 millisecond', true)
               and other.id <> all(request.given_back) and request.capability = any(other.capabilities)))
         order by priority desc, turn limit $4 for update skip locked
       ) r
     ), ranked as (
       select id, tried, row_number() over (partition by tried order by priority desc, turn) as place,
         first_value(tried) over (order by priority desc, turn) as first_tried
       from (select id, least(attempts, 2) as tried, priority, turn from waiting) w
     ), chosen as (
       select id from ranked
       where tried = first_tried and place <= case tried when 0 then $4 when 1 then least($4, $7) else 1 end
     )
     update request set state = 'leased', instance = $3, lease = gen_random_uuid(),
       lease_until = now() + $5 * interval '1 millisecond', deliveries = deliveries + 1
     from chosen
     where request.id = chosen.id
       and exists (select 1 from driver_instance me where me.id = $3 and me.ended_at is null)
     returning request.id, lease, attempts + 1 as attempt, kind, organisation, key_id, scheme, curve, digests,
       (external_id is not null or deliveries > 1) as look_up, authorisation,
       greatest(0, extract(epoch from clock_timestamp() - created_at) * 1000)::int as queued_ms`,
};

function leased(row: TakenRecord): LeasedRequest {
  const base = {
    id: row.id,
    lease: row.lease,
    attempt: row.attempt,
    leaseMs,
    queuedMs: row.queued_ms,
    organisation: row.organisation,
    keyId: row.key_id,
    type: { scheme: row.scheme, curve: row.curve } as KeyType,
    authorisation: row.authorisation,
  };
  switch (row.kind) {
    case 'GenerateKey':
      return { ...base, kind: 'GenerateKey' };
    case 'Sign':
      return {
        ...base,
        kind: 'Sign',
        digests: (row.digests ?? []).map((digest) => digest.toString('hex')),
        lookUp: row.look_up,
      };
    default:
      throw new Error(`request ${row.id} has an unknown kind: ${row.kind satisfies never}`);
  }
}
