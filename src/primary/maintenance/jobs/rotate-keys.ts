import type { Opened } from '../../../shared/audit/event.ts';
import { openAuditLog } from '../../../shared/audit/open-log.ts';
import { inTransaction } from '../../../shared/database/transaction.ts';
import type { MovedKey } from '../../../shared/hsm-work.ts';
import { writeUnder } from '../../../shared/maintenance/attempt.ts';
import type { JobSaid } from '../../../shared/maintenance/reports.ts';
import { rotationEvent } from '../../../shared/rotation/rotation-event.ts';
import {
  countToMove,
  keysToMove,
  openRotation,
  type Rotation,
  type RotationKind,
  type RotationProof,
  rotationSubject,
} from '../../../shared/rotation/rotation-rows.ts';
import { pausedAlarm, pauseRotation } from '../../rotation/pause-rotation.ts';
import type { RotationLeave } from '../../rotation/rotation-leave.ts';
import type { Job, JobRun } from '../job.ts';
import { moveKeys, storeMoved } from './rotation-batch.ts';
import { createPace, type RotationPace } from './rotation-pace.ts';

export interface RotationJobOptions {
  /** As the configuration in force says when a batch is done. */
  readonly keysPerSecond: () => number;
  /** Whether this node may move these keys now: by its own configuration and the operators’ orders. @throws CodedError */
  readonly allow: (rotation: Rotation) => RotationLeave;
  /** Of the audit entry at its end. */
  readonly origin: () => Pick<Opened, 'keyStore' | 'node'>;
}

/** One round trip to the slot, one statement: what a crash throws away at most. */
const batchKeys = 50;
const tellMs = 1_000;
const mostStuck = 100;

/**
 * Moves rows from the old key of the running rotation to the new one: pass after pass over those that are left, in the
 * order of their ids and in small batches, so that memory stays flat and another attempt simply goes on. The HSM makes each
 * new row and proves it; the database changes each row only if it still is as it was read, under this attempt.
 *
 * It may take half a day, and orders have an end: the row and its orders are looked at again before each batch.
 */
export function createRotationJob(kind: RotationKind, { keysPerSecond, allow, origin }: RotationJobOptions): Job {
  return async (run) => {
    const rotation = await openRotation(run.pool);
    if (rotation?.kind !== kind || rotation.state !== 'running') return said({ rotation: 'none is running' });
    if (allow(rotation) === 'given')
      run.log.info({ rotation: rotation.id, moves: rotationSubject(rotation) }, 'rotation goes on');
    const pace = createPace(keysPerSecond, await countToMove(run.pool, rotation));
    const look = async (): Promise<Look> => {
      const now = await openRotation(run.pool);
      if (now?.id !== rotation.id || now.state !== 'running') return 'stopped';
      const leave = allow(now);
      return leave === 'given' ? 'goes on' : { overdue: now, why: leave.over };
    };
    for (;;) {
      const pass = await onePass(run, rotation, pace, look);
      if (pass.end === 'stopped') return said({ ...pace.facts(), rotation: 'paused or aborted' });
      if (pass.end !== 'through') {
        const { overdue, why } = pass.end;
        if (!(await pauseRotation(run, overdue, origin()))) continue; // somebody was quicker, perhaps with a new order
        run.log.warn({ rotation: rotation.id, moves: rotationSubject(rotation), why }, 'rotation paused by its node');
        return said({ ...pace.facts(), rotation: 'paused: no order is good now' }, [pausedAlarm(overdue, why)]);
      }
      const proof = await finish(run, rotation, origin());
      if (proof?.underOldKey === 0) {
        run.log.info({ rotation: rotation.id, moves: rotationSubject(rotation), proof }, 'rotation finished');
        return said({ ...pace.facts(), rotation: 'finished' });
      }
      if (pass.moved > 0) continue; // rows that changed under it, or were added
      await noteStuck(run, rotation, pass.stuck);
      return said({ ...pace.facts(), rotation: 'stuck' }, stuckAlarms(rotation, pass.stuck));
    }
  };
}

/** `stopped`: somebody paused or aborted the rotation. */
type Look = 'goes on' | 'stopped' | Overdue;

interface Overdue {
  /** As it was read. */
  readonly overdue: Rotation;
  readonly why: string;
}

interface Pass {
  readonly moved: number;
  readonly stuck: readonly MovedKey[];
  readonly end: 'through' | Exclude<Look, 'goes on'>;
}

async function onePass(run: JobRun, rotation: Rotation, pace: RotationPace, look: () => Promise<Look>): Promise<Pass> {
  const stuck: MovedKey[] = [];
  let moved = 0;
  let toldAt = Number.NEGATIVE_INFINITY;
  for (let after = ''; ; ) {
    run.signal.throwIfAborted();
    const found = await look();
    if (found !== 'goes on') return { moved, stuck, end: found };
    const keyIds = await keysToMove(run.pool, rotation, after, batchKeys);
    const last = keyIds.at(-1);
    if (last === undefined) return { moved, stuck, end: 'through' };
    after = last;
    const answers = await moveKeys(run, rotation, keyIds);
    const stored = await storeMoved(run.pool, run.attempt, rotation, answers);
    if (stored === undefined) return { moved, stuck, end: 'stopped' };
    moved += stored;
    for (const one of answers) if (one.verdict !== 'moved' && stuck.length < mostStuck) stuck.push(one);
    pace.count(stored);
    if (performance.now() - toldAt >= tellMs) {
      toldAt = performance.now();
      await run.progress(pace.facts());
    }
    await pace.wait(keyIds.length, run.signal);
  }
}

/** The proof and its audit entry, in one transaction. @returns undefined when it runs no more. */
async function finish(
  { pool, attempt }: JobRun,
  rotation: Rotation,
  origin: Pick<Opened, 'keyStore' | 'node'>,
): Promise<RotationProof | null | undefined> {
  return await inTransaction(pool, async (client) => {
    const [answer] = await writeUnder<{ proof: RotationProof | null }>(
      client,
      attempt,
      'select finish_rotation($4) as proof from attempt',
      [rotation.id],
    );
    if (answer?.proof?.underOldKey === 0) {
      const audit = openAuditLog(client, { program: 'primary', ...origin });
      await audit.append(rotationEvent(rotation, 'finished', answer.proof.underNewKey));
    }
    return answer?.proof;
  });
}

async function noteStuck({ pool, attempt }: JobRun, { id }: Rotation, stuck: readonly MovedKey[]): Promise<void> {
  await writeUnder(
    pool,
    attempt,
    'update rotation set stuck = $5, changed_at = clock_timestamp() where id = $4 and exists (select from attempt) returning id',
    [id, stuck.map((one) => one.keyId)],
  );
}

function stuckAlarms(rotation: Rotation, stuck: readonly MovedKey[]): string[] {
  const some = stuck.slice(0, 5).map((one) => `${one.keyId} (${one.verdict === 'moved' ? 'changed' : one.problem})`);
  const more = stuck.length > some.length ? `, and ${stuck.length - some.length} more` : '';
  return [`rotation ${rotationSubject(rotation)} cannot move ${stuck.length} keys: ${some.join(', ')}${more}`];
}

function said(facts: JobSaid['facts'], alarms: readonly string[] = []): JobSaid {
  return { facts, alarms };
}
