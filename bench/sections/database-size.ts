import pg from 'pg';
import { interleave } from '../measure/interleave.ts';
import { runSystem } from '../measure/system-run.ts';
import type { Figure, Section } from '../report/figures.ts';
import { type Stage, sessions } from '../stage.ts';

/** What a full database costs: the same requests for the same keys, before and after synthetic rows were put in. */
export async function measureDatabaseSize(stage: Stage, say: (line: string) => void): Promise<Section> {
  const { plan, raw, system } = stage;
  const curve = 'secp256k1';
  await stage.useNode(1, {});
  const request = { kind: 'sign', keys: await stage.keys(curve, plan.keys) } as const;
  const run = (ms: number) => runSystem(stage, { request, pace: { inFlight: plan.inFlight }, ms });
  const measured = async () => {
    await run(plan.warmMs);
    // Both states are measured against the raw loop of their own time: they cannot be had in turn.
    return await interleave(
      plan.rounds,
      () => raw.ask('run', { curve, work: 'strict', threads: sessions, ms: plan.rawMs }),
      () => run(plan.blockMs),
    );
  };
  const before = await measured();
  const began = performance.now();
  await fill(stage, system.databases.driver.name, driverRows(plan.syntheticKeys, plan.syntheticJournalRows));
  await fill(stage, system.databases.api.name, apiRows(plan.syntheticKeys));
  say(`  filled in ${Math.round((performance.now() - began) / 1_000)} s`);
  const after = await measured();
  const share = (pairs: typeof before) => pairs.map(({ one, other }) => (100 * other.result.perSecond) / one.perSecond);
  const cpu = (pairs: typeof before) => pairs.map(({ other: { cpu } }) => cpu.postgres);
  const figure = (id: string, what: string, unit: '%' | 'ms', samples: number[]): Figure => ({
    id,
    what,
    unit,
    samples,
  });
  const full = `${plan.syntheticKeys.toLocaleString('en')} keys, ${plan.syntheticJournalRows.toLocaleString('en')} journal rows`;
  const median = share(before).toSorted((a, b) => a - b)[Math.floor(before.length / 2)] ?? Number.NaN;
  return {
    title: 'Database size',
    about: `The whole system, ${plan.keys} keys in use, before and after both databases got synthetic rows: ${full}.`,
    figures: [
      figure('small share', 'small database, system ÷ raw loop', '%', share(before)),
      figure('full share', 'full database, system ÷ raw loop', '%', share(after)),
      {
        ...figure(
          'full ÷ small',
          'full ÷ median of small',
          '%',
          share(after).map((one) => (100 * one) / median),
        ),
        target: { least: 95 },
      },
      figure('small cpu', 'small database, CPU of PostgreSQL a signature', 'ms', cpu(before)),
      figure('full cpu', 'full database, CPU of PostgreSQL a signature', 'ms', cpu(after)),
    ],
  };
}

async function fill({ system: { server } }: Stage, database: string, statements: readonly string[]): Promise<void> {
  const { host, port, superuser: user, superuserPassword: password } = server;
  const client = new pg.Client({ host, port, user, password, database });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/**
 * Copies of a row that is there under other names: as long, and as spread in every index, as real ones. The index over ten
 * million random ids is made afterwards, at once: put in one by one, they would take a quarter of an hour.
 */
function driverRows(keys: number, journalRows: number): string[] {
  return [
    ...forBulk,
    `insert into wrapped_key (key_id, request_id, key_store, organisation, scheme, curve, public_key, blob, wrap_algorithm,
       wrap_mechanism, master_key_id, integrity_key_id, allowed_kinds, status, tag, attestation)
     select 'key-' || md5('k' || n), 'key-' || md5('k' || n), key_store, 'or-synthetic', scheme, curve, public_key, blob,
       wrap_algorithm, wrap_mechanism, master_key_id, integrity_key_id, allowed_kinds, status, tag, attestation
     from (select * from wrapped_key limit 1) one, generate_series(1, ${keys}) as n`,
    'alter table journal drop constraint journal_pkey',
    `insert into journal (request_id, key_id, payload_digest, signatures, recids, slot, instance, master_key_id)
     select 'sig-' || md5('j' || n), key_id, payload_digest, signatures, recids, slot, instance, master_key_id
     from (select * from journal limit 1) one, generate_series(1, ${journalRows}) as n`,
    'alter table journal add primary key (request_id)',
    'vacuum analyze wrapped_key',
    'vacuum analyze journal',
    'checkpoint',
  ];
}

/** For the connection that fills. */
const forBulk = [
  "set maintenance_work_mem = '1GB'",
  'set max_parallel_maintenance_workers = 2',
  'set synchronous_commit = off',
];

function apiRows(keys: number): string[] {
  return [
    ...forBulk,
    'alter table key disable trigger user',
    `insert into key (id, organisation, key_store, request_id, scheme, curve, public_key, attestation)
     select 'key-' || md5('k' || n), organisation, key_store, 'key-' || md5('k' || n), scheme, curve, public_key, attestation
     from (select * from key limit 1) one, generate_series(1, ${keys}) as n`,
    'alter table key enable trigger user',
    'vacuum analyze key',
    'vacuum analyze request',
    'checkpoint',
  ];
}
