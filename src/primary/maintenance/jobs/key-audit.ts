import type pg from 'pg';
import type { CheckedKey } from '../../../shared/hsm-work.ts';
import { writeUnder } from '../../../shared/maintenance/attempt.ts';
import type { Job, JobRun } from '../job.ts';
import { firstPage, nextPage } from './audit-pages.ts';
import {
  findingsAmong,
  forgetFindings,
  isFinding,
  keepFindings,
  oldestFindings,
  putOffFindings,
} from './key-findings.ts';
import { markIfConfirmed } from './mark-broken.ts';

/**
 * The audit of stored keys, in slices: each run checks so many that the whole table is gone through within the configured
 * time. Keys are taken in the order of their ids, page by page; ids are hashes, so that order is as good as a random
 * sample. What failed before is checked again first, in a part of the time.
 */

/** How far apart runs are, see queues.ts. */
const everySeconds = 600;
/** A slice that is too long for one run goes on in the next one. */
const budgetMs = 420_000;
/** Of it, for what failed before: the round goes on however many those are. */
const findingsMs = budgetMs / 2;
const smallestSlice = 50;
const mostFindings = 1_000;
const tellMs = 1_000;
/** A round that takes this much longer than it should is an alarm. */
const lateFactor = 1.5;

interface Round extends pg.QueryResultRow {
  readonly round: number;
  readonly last_key: string;
  readonly checked: number;
  readonly age_seconds: number;
}

/**
 * @param inDays within which every key is checked.
 * @param now milliseconds; a test's own.
 */
export function createKeyAudit(inDays: () => number, now: () => number = () => performance.now()): Job {
  return async (run) => {
    const began = now();
    const days = inDays();
    const total = await countKeys(run.pool);
    const slice = Math.max(smallestSlice, Math.ceil((1.2 * total * everySeconds) / (days * 86_400)));
    const told = createTally();
    let round = await readRound(run.pool);
    const facts = () => ({ ...factsOf(told, now() - began, total, round), roundDays: days });
    let size = firstPage;
    let toldAt = began;
    const check = async (keyIds: readonly string[]): Promise<void> => {
      const asked = now();
      await checkPage(run, keyIds, told);
      size = nextPage(keyIds.length, now() - asked);
      if (now() - toldAt < tellMs) return;
      await run.progress(facts());
      toldAt = now();
    };

    for (let rest = await oldestFindings(run.pool, mostFindings); rest.length > 0 && now() - began < findingsMs; ) {
      const keyIds = rest.slice(0, size);
      rest = rest.slice(keyIds.length);
      await check(keyIds);
    }
    for (let left = slice; left > 0 && now() - began < budgetMs; ) {
      const keyIds = await keysAfter(run.pool, round.last_key, Math.min(left, size));
      if (keyIds.length === 0) {
        await endRound(run);
        round = await readRound(run.pool);
        break;
      }
      await check(keyIds);
      round = await advance(run, keyIds);
      left -= keyIds.length;
    }
    return {
      facts: facts(),
      alarms: await alarmsOf(run.pool, round, told, days),
    };
  };
}

type Tally = Record<CheckedKey['verdict'], number>;

function createTally(): Tally {
  return { holds: 0, missing: 0, tag: 0, unusable: 0, attributes: 0, unchecked: 0 };
}

/** Estimated by PostgreSQL where the table is large: an exact count of a million rows each ten minutes is not worth it. */
async function countKeys(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ estimate: number }>(
    "select reltuples::float8 as estimate from pg_class where oid = 'wrapped_key'::regclass",
  );
  const estimate = rows[0]?.estimate ?? 0;
  if (estimate > 10_000) return estimate;
  const counted = await pool.query<{ count: number }>('select count(*)::int as count from wrapped_key');
  return counted.rows[0]?.count ?? 0;
}

/** Keys that were deleted are not opened any more; those that were marked broken are: one may be mended. */
async function keysAfter(pool: pg.Pool, after: string, limit: number): Promise<string[]> {
  const { rows } = await pool.query<{ key_id: string }>(
    "select key_id from wrapped_key where key_id > $1 and status <> 'deleted' order by key_id limit $2",
    [after, limit],
  );
  return rows.map((row) => row.key_id);
}

async function checkPage(run: JobRun, keyIds: readonly string[], told: Tally): Promise<void> {
  const known = await findingsAmong(run.pool, keyIds);
  // A finding is over when the key holds in every respect, and not because nobody looked at what was wrong with it.
  const checked = await run.hsm.ask({ kind: 'check-keys', keyIds, inFull: [...known] }, run.signal);
  for (const one of checked) told[one.verdict] += 1;
  const bad = checked.filter(isFinding);
  for (const one of bad)
    run.log.error({ keyId: one.keyId, verdict: one.verdict, cause: one.problem }, 'stored key fails');
  await keepFindings(run, bad);
  const ofKnown = (...verdicts: readonly CheckedKey['verdict'][]): string[] =>
    checked.filter(({ keyId, verdict }) => known.has(keyId) && verdicts.includes(verdict)).map(({ keyId }) => keyId);
  await putOffFindings(run, ofKnown('unchecked'));
  await forgetFindings(run, ofKnown('holds', 'missing'));
  for (const one of bad) if (one.verdict === 'unusable') await markIfConfirmed(run, one);
}

const roundColumns = `round, last_key, checked::float8 as checked,
  extract(epoch from clock_timestamp() - round_started_at)::float8 as age_seconds`;

async function readRound(pool: pg.Pool): Promise<Round> {
  const { rows } = await pool.query<Round>(`select ${roundColumns} from key_audit`);
  if (rows[0] === undefined) throw new Error('key_audit has one row, always');
  return rows[0];
}

async function advance({ pool, attempt }: JobRun, keyIds: readonly string[]): Promise<Round> {
  const [round] = await writeUnder<Round>(
    pool,
    attempt,
    `update key_audit set last_key = $4, checked = checked + $5 where exists (select from attempt)
     returning ${roundColumns}`,
    [keyIds.at(-1), keyIds.length],
  );
  return round as Round;
}

async function endRound({ pool, attempt }: JobRun): Promise<void> {
  await writeUnder(
    pool,
    attempt,
    `update key_audit set round = round + 1, round_started_at = clock_timestamp(), last_key = '', checked = 0,
       last_round_ended_at = clock_timestamp()
     where exists (select from attempt) returning round`,
  );
}

function factsOf(told: Tally, ms: number, total: number, { round, checked: inRound }: Round): Record<string, number> {
  const checked = Object.values(told).reduce((sum, count) => sum + count, 0);
  const perSecond = checked / Math.max(0.001, ms / 1_000);
  return {
    keys: Math.round(total),
    checked,
    ...told,
    perSecond: Math.round(perSecond * 10) / 10,
    // At the speed of this run; a round is spread over the configured days.
    wholeTableSeconds: perSecond === 0 ? 0 : Math.round(total / perSecond),
    remainingSeconds: perSecond === 0 ? 0 : Math.ceil(Math.max(0, total - inRound) / perSecond),
    round,
    checkedInRound: inRound,
  };
}

async function alarmsOf(pool: pg.Pool, round: Round, told: Tally, days: number): Promise<string[]> {
  const { rows } = await pool.query<{ verdict: string; count: number; first: string[] }>(
    `select verdict, count(*)::int as count, (array_agg(key_id order by first_found_at))[1:5] as first
     from key_finding group by verdict order by verdict`,
  );
  return [
    ...rows.map(({ verdict, count, first }) => `${count} stored keys fail (${verdict}): ${first.join(', ')}`),
    ...(told.unchecked > 0 ? [`${told.unchecked} stored keys could not be checked; the log says why`] : []),
    ...(round.age_seconds > lateFactor * days * 86_400
      ? [`the audit of all keys takes longer than ${days} days; see keyAuditDays`]
      : []),
  ];
}
