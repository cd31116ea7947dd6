import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checkTokens } from '../src/ceremony/check.ts';
import { goLive } from '../src/ceremony/go-live.ts';
import { makeNextKey } from '../src/ceremony/next-key.ts';
import { nobody } from '../src/ceremony/people.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import { newOrder, signOrder } from '../src/shared/orders/sign-order.ts';
import { readRotations } from '../src/shared/rotation/rotation-rows.ts';
import { runCommand } from './support/command.ts';
import { keyRowsFrom } from './support/key-rows.ts';
import { openRotationCluster } from './support/rotation-cluster.ts';
import { rotationCeremony } from './support/rotation-store.ts';
import { signOffer } from './support/slot-worker.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** The rotation of the integrity key: by any signing node, beside signing; and by the operators’ order. */
const directory = temporaryDirectory(t);
const people = ['ada', 'ben', 'cleo'].map((name) => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const publicKeyFile = join(directory, `${name}.pem`);
  writeFileSync(publicKeyFile, publicKey.export({ type: 'spki', format: 'pem' }));
  return { name, publicKeyFile, privateKey };
});
const operators = { threshold: 2, keys: people.map(({ name, publicKeyFile }) => ({ name, publicKeyFile })) };
const cluster = await openRotationCluster(t, { operators });
const { store, api, pool } = cluster;
const [config] = cluster.configs;
const old = store.ceremony.integrityKey.id;
const type = { scheme: 'EdDSA', curve: 'ed25519' } as const;

const keys = await keyRowsFrom(store, pool, 'ed25519', 250);
const nextFile = join(store.directory, 'next-integrity.json');
const ceremony = { ...rotationCeremony(store.slots, store.rotation, store.ceremonyFile), rotation: undefined };
const quiet = nobody(() => {});
const { integrityKey } = await makeNextKey(ceremony, 'integrity key', nextFile, quiet);
await checkTokens({ ...ceremony, ceremonyFile: nextFile }, quiet);
await goLive({ ...ceremony, ceremonyFile: nextFile }, quiet, true);
await cluster.setKeys(nextFile, [store.ceremonyFile]);

const subject = `integrity-key ${old} to ${integrityKey.id}`;
const rotate = (...words: string[]) => runCommand('rotate', ...words, '--config', config);

function orderOf(what: string, ...signers: readonly (typeof people)[number][]): string {
  const about = { kind: 'rotation', subject: what } as const;
  const unsigned = newOrder({ keyStore: store.keyStore, about, reason: 'test' }, 3_600_000);
  const signed = signers.reduce((order, { name, privateKey }) => signOrder(order, name, privateKey), unsigned);
  const file = join(directory, `${randomUUID()}.json`);
  writeFileSync(file, JSON.stringify(signed));
  return file;
}

async function sign(at: number): Promise<void> {
  const key = keys[at % keys.length];
  const offer = signOffer(key?.keyId ?? '', { type });
  api.offer(offer);
  const result = await api.outcome(offer.id, 30_000);
  if (result.kind !== 'Signatures' || result.publicKey !== key?.publicKey) throw new Error(JSON.stringify(result));
}

const [ada, ben] = people as [(typeof people)[number], (typeof people)[number], (typeof people)[number]];

t.test('it does not start without the order of as many operators as must sign', async (t) => {
  await until(
    'both nodes make new rows under the new key',
    async () => (await rotate('start', '--from', old)).code === 0,
  );
  const without = await rotate('start', '--from', old, '--yes');
  t.match(without, { code: exitCodes.ORDER.code, errors: new RegExp(`start ${subject}`) });
  const one = await rotate('start', '--from', old, '--yes', '--order', orderOf(`start ${subject}`, ada));
  t.equal(one.code, exitCodes.ORDER.code);
  const other = orderOf(`start integrity-key ${integrityKey.id} to ${old}`, ada, ben);
  t.equal((await rotate('start', '--from', old, '--yes', '--order', other)).code, exitCodes.ORDER.code);
  t.same(await readRotations(pool), []);
});

t.test('with it, every row is tagged anew while all keys sign, and the end is proven', async (t) => {
  const order = orderOf(`start ${subject}`, ada, ben);
  t.match(await rotate('start', '--from', old, '--yes', '--order', order), { code: 0, out: /0 of 250 keys re-tagged/ });
  let signed = 0;
  await until('it is finished', async () => {
    await sign(signed);
    signed += 1;
    return (await readRotations(pool))[0]?.state === 'finished';
  });
  t.match(await readRotations(pool), [
    { kind: 'integrity-key', moved: 250, proof: { underOldKey: 0, underNewKey: 250 }, signedOrder: { order: {} } },
  ]);
  const { rows } = await pool.query('select distinct integrity_key_id, master_key_id from wrapped_key');
  t.same(rows, [{ integrity_key_id: integrityKey.id, master_key_id: store.ceremony.masterKey.id }]);
  await Promise.all(keys.map((_key, at) => sign(at)));
  t.match(await rotate('start', '--from', old, '--yes', '--order', order), { code: exitCodes.ORDER.code }, 'used up');
});

t.test('a rotation that somebody wrote into the database without an order moves nothing', async (t) => {
  await pool.query(
    `insert into rotation (id, kind, from_id, to_id, state, total)
     values (gen_random_uuid(), 'integrity-key', $1, $2, 'running', 0)`,
    [old, integrityKey.id],
  );
  const asked = await runCommand('jobs', 'run', '--job', 'integrity-key-rotation', '--config', config);
  t.equal(asked.code, 0);
  const refusal = await until('a node refuses it', async () => {
    const { rows } = await pool.query<{ problem: string | null }>(
      "select problem from job_report where queue = 'integrity-key-rotation'",
    );
    return rows[0]?.problem ?? undefined;
  });
  t.match(refusal, /was started without an order/);
});
