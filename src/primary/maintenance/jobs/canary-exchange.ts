import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { curves } from '../../../shared/keys.ts';
import { writeUnder } from '../../../shared/maintenance/attempt.ts';
import type { Job, JobRun } from '../job.ts';

/**
 * The exchange of test keys. Each run judges what the slots did with the test keys of the last rounds, and has one slot
 * wrap another key; every node opens it on its own slots (test-key-watch.ts).
 */

/** A slot that had this long and did not try is told; a node looks every poll. */
const patience = "interval '5 minutes'";
const judged = "interval '50 minutes'";

export const exchangeCanaries: Job = async (run) => {
  const alarms = await judge(run.pool);
  await forgetOld(run);
  const made = await makeOne(run);
  const { rows } = await run.pool.query<{ openings: number }>(
    `select count(*)::int as openings from test_key_opening where opened and at > clock_timestamp() - ${judged}`,
  );
  return { facts: { opened: rows[0]?.openings ?? 0, ...made }, alarms };
};

async function makeOne({ hsm, pool, attempt, signal }: JobRun): Promise<{ curve: string; maker: string }> {
  const slots = hsm.readySlots();
  const slot = slots[Math.floor(Math.random() * slots.length)];
  const curve = curves[Math.floor(Math.random() * curves.length)];
  if (slot === undefined || curve === undefined) throw new Error('no slot is ready');
  const key = await hsm.ask({ kind: 'make-test-key', curve }, signal, slot);
  const [row] = await writeUnder<{ node: string }>(
    pool,
    attempt,
    `insert into test_key (id, node, slot, key)
     select $4, report.node, $5, $6 from job_report report where report.queue = $1 and exists (select from attempt)
     returning node`,
    [randomUUID(), slot, JSON.stringify(key)],
  );
  return { curve, maker: `${row?.node}/${slot}` };
}

async function forgetOld({ pool, attempt }: JobRun): Promise<void> {
  await writeUnder(
    pool,
    attempt,
    `delete from test_key where made_at < clock_timestamp() - interval '1 day' and exists (select from attempt)
     returning id`,
  );
}

async function judge(pool: pg.Pool): Promise<string[]> {
  const failed = await pool.query<{ where: string; maker: string; sound_itself: boolean; problem: string }>(
    `select distinct on (o.node, o.slot) o.node || '/' || o.slot as where, k.node || '/' || k.slot as maker,
       o.sound_itself, o.problem
     from test_key_opening o join test_key k on k.id = o.test_key
     where not o.opened and o.at > clock_timestamp() - ${judged} order by o.node, o.slot, o.at desc`,
  );
  // Ready now and since before the key was made, and nothing was heard.
  const silent = await pool.query<{ where: string }>(
    `select distinct node.node || '/' || (one ->> 'name') as where
     from node cross join lateral jsonb_array_elements(node.slots) as of_node (one)
       join test_key k on k.made_at between clock_timestamp() - ${judged} and clock_timestamp() - ${patience}
     where node.seen_at > clock_timestamp() - interval '5 seconds' and one ->> 'state' = 'ready'
       and one -> 'rotates' is null
       and (one ->> 'forMs')::float8 > extract(epoch from clock_timestamp() - k.made_at) * 1000
       and not exists (select from test_key_opening o
         where o.test_key = k.id and o.node = node.node and o.slot = one ->> 'name')`,
  );
  return [
    ...failed.rows.map(({ where, maker, sound_itself, problem }) =>
      sound_itself
        ? `slot ${where} is well and cannot open a test key that slot ${maker} wrapped: ${problem}`
        : `slot ${where} cannot open a test key of slot ${maker}, nor its own canary: ${problem}`,
    ),
    ...silent.rows.map(({ where }) => `slot ${where} is ready and has not tried a test key`),
  ];
}
