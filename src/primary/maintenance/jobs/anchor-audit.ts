import type pg from 'pg';
import { largestHsmBatch } from '../../../shared/hsm-work.ts';
import { holds, type RecentChain, recentChains, type ToldHead, toldHeads, unsignedEnd } from '../audit-chains.ts';
import type { Job, JobRun } from '../job.ts';

/**
 * The anchoring of audit chains, hourly. First, whether every head that chains told of lately is still where they say: who
 * cut the end of one, or wrote it anew, shows, and what he left is not told of. Then one worker tells, in its own chain whose heads
 * its HSM signs, how far all others have come. What is found here is a hint; the proof is `audit verify`, offline.
 */

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** A worker signs its head within seconds, while its chain grows. */
const patienceMs = 10 * 60_000;
const mostNamed = 5;

export const anchorAudit: Job = async (run) => {
  const { pool } = run;
  const last = await lastDone(pool);
  const now = Date.now();
  const chains = await recentChains(pool, last === undefined ? null : iso(Math.min(last, now) - dayMs));
  const told = await toldHeads(pool, chains);
  const broken = told.filter((one) => !holds(one));
  const contradicted = new Set(broken.map(({ chain }) => chain));
  const ends = await unsigned(pool, chains);
  // What grew since the last time, and in the hour before: each chain is told of twice, if need be by different workers.
  const since = last === undefined ? Number.NEGATIVE_INFINITY : Math.min(last, now - hourMs) - hourMs;
  const anchored = await anchor(
    run,
    chains.filter(({ chain, at }) => at.getTime() > since && !contradicted.has(chain)),
  );
  return {
    facts: { chains: chains.length, checked: told.length, anchored },
    alarms: first([...broken.map(problemOf), ...ends]),
  };
};

async function lastDone(pool: pg.Pool): Promise<number | undefined> {
  const { rows } = await pool.query<{ at: Date | null }>(
    "select last_done_at as at from job_report where queue = 'audit-anchoring'",
  );
  return rows[0]?.at?.getTime();
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** @returns how many chains were told of. */
async function anchor({ hsm, attempt, signal }: JobRun, chains: readonly RecentChain[]): Promise<number> {
  let anchored = 0;
  for (let at = 0; at < chains.length; at += largestHsmBatch) {
    const heads = chains.slice(at, at + largestHsmBatch).map(({ chain, head }) => ({ chain, head }));
    anchored += (await hsm.ask({ kind: 'anchor-chains', attempt, heads }, signal)).told;
  }
  return anchored;
}

async function unsigned(pool: pg.Pool, chains: readonly RecentChain[]): Promise<string[]> {
  const alarms: string[] = [];
  for (const one of chains) {
    if (one.program !== 'worker') continue;
    const end = await unsignedEnd(pool, one);
    const ms = end === undefined ? 0 : end.toMs - end.fromMs;
    if (ms > patienceMs)
      alarms.push(
        `slot ${one.whose} signed no head of its audit chain ${one.chain} for ${Math.round(ms / 60_000)} minutes while it grew`,
      );
  }
  return alarms;
}

function first(alarms: readonly string[]): string[] {
  const more = alarms.length - mostNamed;
  return more > 0 ? [...alarms.slice(0, mostNamed), `and ${more} more of the audit log`] : [...alarms];
}

function problemOf({ chain, head, found }: ToldHead): string {
  const what = found === undefined ? 'is missing' : 'is not the one';
  return `audit chain ${chain}: entry ${head.sequence}, of which another entry tells, ${what}; run hsm-driver audit export and audit verify`;
}
