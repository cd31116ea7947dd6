import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { exitCodes } from '../src/shared/exit-codes.ts';
import type { Rotation } from '../src/shared/rotation/rotation-rows.ts';
import { runCommand } from './support/command.ts';
import { objectsOn } from './support/objects-on.ts';
import { openRotationCluster } from './support/rotation-cluster.ts';
import { rotationCeremony } from './support/rotation-store.ts';
import { signOffer } from './support/slot-worker.ts';
import { slotIn } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** The whole rotation of a master key, as docs/rotation.md tells operators, with real nodes and tokens. */
const cluster = await openRotationCluster(t);
const { store, api, pool } = cluster;
const old = store.ceremony.masterKey.id;
const next = store.next.masterKey.id;
const [config] = cluster.configs;
const rotate = (...words: string[]) => runCommand('rotate', ...words, '--config', config);
const newest = async () => (JSON.parse((await rotate('status', '--json')).out) as Rotation[])[0];
const rowsUnder = async (id: string) =>
  (await pool.query('select count(*)::int as n from wrapped_key where master_key_id = $1', [id])).rows[0]?.n;

async function makeKeys(count: number): Promise<{ id: string; publicKey: string }[]> {
  const ids = Array.from({ length: count }, () => `key-${randomUUID()}`);
  const types = [
    { scheme: 'ECDSA', curve: 'secp256k1' },
    { scheme: 'EdDSA', curve: 'ed25519' },
    { scheme: 'ECDSA', curve: 'P-256' },
  ] as const;
  for (const [at, id] of ids.entries()) {
    const type = types[at % types.length] ?? types[0];
    api.offer({ id, attempt: 1, leaseMs: 15_000, organisation: 'or-test', keyId: id, kind: 'GenerateKey', type });
  }
  return await Promise.all(
    ids.map(async (id) => {
      const result = await api.outcome(id);
      if (result.kind !== 'PublicKey') throw new Error(JSON.stringify(result));
      return { id, publicKey: result.publicKey };
    }),
  );
}

async function sign(key: { id: string; publicKey: string }, at: number): Promise<void> {
  const type = (
    [
      { scheme: 'ECDSA', curve: 'secp256k1' },
      { scheme: 'EdDSA', curve: 'ed25519' },
      { scheme: 'ECDSA', curve: 'P-256' },
    ] as const
  )[at % 3];
  const offer = signOffer(key.id, type === undefined ? {} : { type });
  api.offer(offer);
  const result = await api.outcome(offer.id, 30_000);
  if (result.kind !== 'Signatures' || result.publicKey !== key.publicKey) throw new Error(JSON.stringify(result));
}

const keys = await makeKeys(90);

t.test('a rotation that is not prepared is refused, each reason named, and nothing changes', async (t) => {
  t.equal(await rowsUnder(old), 90);
  const wrong = await rotate('start', '--from', old, '--yes');
  t.equal(wrong.code, exitCodes.ROTATION.code);
  t.match(wrong.errors, /is the current key: ceremonyFile must be that of the new one/);
  const unknown = await rotate('start', '--from', 'mk-aaaaaaaaaaaaaaaa', '--yes');
  t.match(unknown.errors, /no ceremony file of this configuration is of mk-aaaaaaaaaaaaaaaa/);
  t.same(JSON.parse((await rotate('status', '--json')).out), []);
});

t.test('once the nodes make new keys under the new one, what is missing is the rotation node', async (t) => {
  await cluster.setKeys(store.nextFile, [store.ceremonyFile]);
  const [made] = await makeKeys(1);
  t.equal(await rowsUnder(next), 1);
  t.ok(made);
  await until('both nodes say so', async () => {
    const { errors } = await rotate('start', '--from', old);
    return !/still makes new keys|is recovering|has not proven/.test(errors) && errors;
  });
  const refused = await rotate('start', '--from', old, '--yes');
  t.equal(refused.code, exitCodes.ROTATION.code);
  t.match(refused.errors, `no rotation node is ready that re-wraps from ${old} to ${next}`);
  t.equal(await rowsUnder(old), 90);
});

t.test('it moves every key while all of them sign, and ends with a proof', async (t) => {
  const node = cluster.startRotationNode();
  await node.line('slot ready');
  const dry = await until('it may start', async () => {
    const { code, out } = await rotate('start', '--from', old);
    return code === 0 && out;
  });
  t.match(dry, /may start; nothing was changed, add --yes/);
  t.equal(await rowsUnder(old), 90);
  const lacking = { name: 'hsm', token: '', state: 'ready', forMs: 1, why: '', masterKeyId: next, keys: [old] };
  await pool.query(
    `insert into node (node, instance, version, slots, seen_at)
     values ('node-3', gen_random_uuid(), 'test', $1, now() + interval '1 hour')`,
    [JSON.stringify([lacking])],
  );
  const lacked = await rotate('start', '--from', old, '--yes');
  t.match(lacked, { code: exitCodes.ROTATION.code });
  t.match(lacked.errors, `slot node-3/hsm has not proven ${next}: fill its token`);
  t.same(JSON.parse((await rotate('status', '--json')).out), [], 'no rotation was made');
  t.equal(await rowsUnder(old), 90);
  await pool.query("delete from node where node = 'node-3'");

  const started = await rotate('start', '--from', old, '--yes');
  t.match(started, { code: 0, out: /started: master-key .* running, 0 of 90 keys re-wrapped/ });

  let signed = 0;
  let over = false;
  const load = (async () => {
    for (; !over; signed += 1) await sign(keys[signed % keys.length] as (typeof keys)[0], signed % keys.length);
  })();
  await node.line('rotation finished');
  over = true;
  await load;
  t.ok(signed > 0, `${signed} signatures beside it`);

  t.match(await newest(), {
    kind: 'master-key',
    state: 'finished',
    moved: 90,
    proof: { underOldKey: 0, underNewKey: 91, underOtherKeys: 0 },
  });
  t.equal(await rowsUnder(old), 0);
  await Promise.all(keys.map(sign));
  t.match((await rotate('pause')).errors, /no rotation is running or paused/);
  const jobs = await runCommand('jobs', 'list', '--json', '--config', config);
  const listed = (JSON.parse(jobs.out) as { job: string }[]).find(({ job }) => job === 'master-key-rotation');
  t.match(listed, { state: 'done', facts: { rotation: 'finished' } });
});

t.test('then the old key is destroyed on every token, and the new one signs on', async (t) => {
  const ceremony = join(store.directory, 'destroy.yaml');
  const configuration = rotationCeremony(store.slots, store.rotation, store.ceremonyFile);
  writeFileSync(ceremony, stringify({ ...configuration, tokens: configuration.tokens.slice(0, 1) }));
  const incomplete = await rotate('destroy-old', '--ceremony', ceremony, '--yes');
  t.match(incomplete, { code: exitCodes.CEREMONY.code, errors: /though the protocol has it: signing token b/ });
  t.ok((await objectsOn(store.slots[0])).includes(store.ceremony.masterKey.label), 'nothing was destroyed');

  writeFileSync(ceremony, stringify(configuration));
  const destroyed = await rotate('destroy-old', '--ceremony', ceremony, '--yes');
  t.match(destroyed, { code: 0, out: `${old} is destroyed` });
  const backup = slotIn(`${store.ceremonyFile}.backup`, 'backup');
  for (const slot of [...store.slots, store.rotation, backup])
    t.notOk((await objectsOn(slot)).includes(store.ceremony.masterKey.label), slot.name);
  t.match(await newest(), { state: 'destroyed' });
  t.equal((await pool.query('select count(*)::int as n from replaced_blob')).rows[0]?.n, 0);
  await Promise.all(keys.slice(0, 30).map(sign));
  t.match((await rotate('destroy-old', '--ceremony', ceremony, '--yes')).errors, /no rotation is finished/);
});

t.test('the audit log tells of each step', async (t) => {
  const { rows } = await pool.query<{ entry: string }>(
    'select entry from audit_entry where entry like \'%"kind":"rotation"%\'',
  );
  const steps = rows
    .map(({ entry }) => JSON.parse(entry))
    .map(({ step, from, to, rows: moved }) => ({ step, from, to, moved }));
  const named = (step: string, moved?: number) => ({ step, from: old, to: next, moved });
  t.same(
    steps.sort((one, other) => (one.step < other.step ? -1 : 1)),
    [
      named('destroyed'),
      named('destruction begun'),
      named('destruction begun'),
      named('finished', 91),
      named('started'),
    ],
  );
});
