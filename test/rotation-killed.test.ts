import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import t from 'tap';
import { type Rotation, readRotations } from '../src/shared/rotation/rotation-rows.ts';
import { runCommand } from './support/command.ts';
import { keyRowsFrom } from './support/key-rows.ts';
import { openRotationCluster } from './support/rotation-cluster.ts';
import { signOffer } from './support/slot-worker.ts';
import { until } from './support/until.ts';

/**
 * kill -9 of the node that runs a rotation, at ten random moments, under signing load: every key signs throughout, nothing
 * is wrapped by an unknown key, and the rotation completes.
 */
const kills = 10;
const keyCount = 1_000;
const seed = Number(process.env.SEED ?? randomInt(1, 2 ** 31 - 1));
t.comment(`SEED=${seed}`);
const random = randomOf(seed);

const cluster = await openRotationCluster(t, { keysPerSecond: 50 });
const { store, api, pool } = cluster;
const old = store.ceremony.masterKey.id;
const next = store.next.masterKey.id;
const [config] = cluster.configs;
const type = { scheme: 'ECDSA', curve: 'P-256' } as const;
const keys = await keyRowsFrom(store, pool, 'P-256', keyCount);
await cluster.setKeys(store.nextFile, [store.ceremonyFile]);

let over = false;
let signed = 0;
const failures: string[] = [];
async function sign(at: number): Promise<void> {
  const key = keys[at % keys.length];
  if (key === undefined) throw new Error('no key');
  const offer = signOffer(key.keyId, { type, id: `sig-${randomUUID()}` });
  api.offer(offer);
  const result = await api.outcome(offer.id, 30_000);
  signed += 1;
  if (result.kind !== 'Signatures' || result.publicKey !== key.publicKey) failures.push(JSON.stringify(result));
}
const load = [0, 1].map(async (lane) => {
  for (let at = lane; !over; at += 2) await sign(at);
});

async function rowsByKey(by: Pick<pg.Pool, 'query'> = pool): Promise<Record<string, number>> {
  const { rows } = await by.query<{ id: string; n: number }>(
    'select master_key_id as id, count(*)::int as n from wrapped_key group by 1',
  );
  return Object.fromEntries(rows.map(({ id, n }) => [id, n]));
}

/** Both of one moment: what a killed node had sent, the database may still commit. */
async function rowsAndRotation(): Promise<[Record<string, number>, Rotation | undefined]> {
  const client = await pool.connect();
  try {
    await client.query('begin isolation level repeatable read, read only');
    const rows = await rowsByKey(client);
    const [rotation] = await readRotations(client);
    await client.query('commit');
    return [rows, rotation];
  } finally {
    client.release();
  }
}

let node = cluster.startRotationNode();

t.test('it starts', async (t) => {
  await node.line('slot ready');
  const started = await until('it starts', async () => {
    const { code, out } = await runCommand('rotate', 'start', '--from', old, '--yes', '--config', config);
    return code === 0 && out;
  });
  t.match(started, `0 of ${keyCount} keys`);
});

for (let kill = 1; kill <= kills; kill += 1) {
  t.test(`kill ${kill}`, async (t) => {
    await node.line('rotation goes on');
    const afterMs = Math.floor(random() * 250);
    await sleep(afterMs);
    node.signalGroup('SIGKILL');
    await node.exited;
    const [rows, rotation] = await rowsAndRotation();
    t.comment(`after ${afterMs} ms: ${JSON.stringify(rows)}, ${signed} signatures so far`);
    t.same(
      Object.keys(rows).filter((id) => id !== old && id !== next),
      [],
      'nothing is wrapped by an unknown key',
    );
    t.match(rotation, { state: 'running', moved: rows[next] ?? 0 });
    t.same(failures, []);
    // Each start moves a batch of 50 at once and a kill that is late some more: all kills come before the end. Then nothing
    // is left to wait for.
    node = cluster.startRotationNode(kill < kills ? undefined : { rotation: { keysPerSecond: 1_000 } });
  });
}

t.test('it completes, and every key signs', async (t) => {
  await until('rotation finished', () => node.count('rotation finished') > 0, 60_000);
  over = true;
  await Promise.all(load);
  t.same(await rowsByKey(), { [next]: keyCount });
  t.match((await readRotations(pool))[0], { state: 'finished', moved: keyCount, proof: { underOldKey: 0 } });
  for (let at = 0; at < keyCount; at += 50) await Promise.all(Array.from({ length: 50 }, (_, one) => sign(at + one)));
  t.same(failures, []);
  t.comment(`${signed} signatures`);
});

/** mulberry32: the same moments for the same seed. */
function randomOf(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
