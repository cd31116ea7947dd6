import type pg from 'pg';
import { isUnreachable } from '../../shared/database/faults.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Capacity } from './capacity.ts';
import { cancelUndelivered } from './expiry.ts';
import type { HeldRows } from './held-rows.ts';
import type { Holds } from './holds.ts';
import type { OpenRequests } from './open-requests.ts';
import type { RequestQueue, RequestRow } from './request.ts';
import { type RequestRecord, requestColumns, requestRow } from './request-row.ts';
import type { RestingKeys } from './resting-keys.ts';
import type { Submitter } from './submit.ts';

/** A submitted request is watched this long until its caller holds it: its end may come before the caller asks. */
const submitToHoldMs = 1_000;

export interface ApplicationSideParts {
  readonly relaxed: pg.Pool;
  readonly durable: pg.Pool;
  readonly capacity: Capacity;
  readonly restingKeys: RestingKeys;
  readonly openRequests: OpenRequests;
  readonly submitter: Submitter;
  readonly holds: Holds;
  readonly heldRows: HeldRows;
}

/** The queue as the application's routes see it: put in, wait, read. */
export function createApplicationSide(parts: ApplicationSideParts): RequestQueue {
  const { relaxed, durable, capacity, restingKeys, openRequests, submitter, holds, heldRows } = parts;

  /** Its caller is told what is known of a request that is in the table, also while the table cannot be read. */
  async function read(id: string): Promise<RequestRow> {
    try {
      return await readRequest(relaxed, id);
    } catch (error) {
      const known = holds.known(id);
      if (known === undefined || !isUnreachable(error)) throw error;
      return known;
    }
  }

  return {
    requireCapacity: capacity.require,
    requireRested: restingKeys.require,

    async submit(request) {
      const entrance = openRequests.enter(request);
      holds.enter(request.id);
      let made = false;
      try {
        const submitted = await submitter.submit(request, entrance.place);
        made = submitted.fresh;
        // Of another body the row was not made: what this caller sent is not what a crash may have swallowed.
        const ours = submitted.fresh || submitted.row.fingerprint.equals(request.fingerprint);
        holds.noteRow(submitted.row, ours ? request : undefined);
        if (!submitted.fresh) holds.leave(request.id);
        else setTimeout(() => holds.leave(request.id), submitToHoldMs).unref();
        return submitted;
      } catch (error) {
        holds.leave(request.id);
        throw error;
      } finally {
        entrance.settle(made);
      }
    },

    async hold(id, holdMs) {
      const submittedHere = holds.has(id);
      holds.enter(id);
      try {
        if (!submittedHere) await heldRows.read([id]);
        return (await holds.wait(id, holdMs)) ?? (await read(id));
      } finally {
        holds.leave(id);
      }
    },

    async cancel(id) {
      const cancelled = await cancelUndelivered(durable, id);
      return cancelled === undefined ? await readRequest(relaxed, id) : requestRow(cancelled);
    },

    async find(organisation, id) {
      const { rows } = await relaxed.query<RequestRecord>(
        `select ${requestColumns} from request where id = $1 and organisation = $2`,
        [id, organisation],
      );
      return rows[0] === undefined ? undefined : requestRow(rows[0]);
    },
  };
}

async function readRequest(pool: pg.Pool, id: string): Promise<RequestRow> {
  const { rows } = await pool.query<RequestRecord>(`select ${requestColumns} from request where id = $1`, [id]);
  if (rows[0] === undefined) throw new CodedError('NOT_FOUND', `request ${id}`);
  return requestRow(rows[0]);
}
