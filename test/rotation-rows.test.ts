import { randomBytes } from 'node:crypto';
import t from 'tap';
import { backupTables } from '../src/backup/tables.ts';
import { createPool } from '../src/shared/database/pool.ts';
import type { KeyRing } from '../src/shared/key-ring.ts';
import { createLog } from '../src/shared/log.ts';
import {
  countToMove,
  insertRotation,
  keysToMove,
  openRotation,
  readRotations,
  stepRotation,
} from '../src/shared/rotation/rotation-rows.ts';
import { refuseRetiredKeys } from '../src/worker/retired-keys.ts';
import { openTestDatabases } from './support/database.ts';

/** What the driver database allows a rotation, and nobody else: everything here is done as the runtime role. */
const databases = await openTestDatabases(t);
const pool = createPool(
  databases.driver,
  { applicationName: 'test', max: 3, durability: 'relaxed' },
  createLog('error', {}),
);
t.teardown(() => pool.end());

interface Row {
  readonly keyId: string;
  readonly tag: Buffer;
}

async function addKey(keyId: string, masterKeyId: string, status = 'active', integrityKeyId = 'ik-1'): Promise<Row> {
  const tag = randomBytes(32);
  await pool.query(
    `insert into wrapped_key (key_id, request_id, key_store, organisation, scheme, curve, public_key, blob, wrap_algorithm,
       wrap_mechanism, master_key_id, integrity_key_id, allowed_kinds, status, tag, attestation)
     values ($1, $1, 'store', 'or', 'ECDSA', 'P-256', '', 'old', 'RFC5649', 8458, $2, $5, '{}', $3, $4, '')`,
    [keyId, masterKeyId, status, tag, integrityKeyId],
  );
  return { keyId, tag };
}

async function rewrap(rotation: string, rows: readonly Row[], newTags: readonly Buffer[]): Promise<number> {
  const { rows: answer } = await pool.query<{ n: string }>('select rewrap_keys($1, $2, $3, $4, $5, $6, $7) as n', [
    rotation,
    rows.map((row) => row.keyId),
    rows.map((row) => row.tag),
    rows.map(() => Buffer.from('new')),
    rows.map(() => 'RFC5649'),
    rows.map(() => 8458),
    newTags,
  ]);
  return Number(answer[0]?.n);
}

const stored = async (keyId: string) =>
  (await pool.query('select blob, master_key_id, tag, status from wrapped_key where key_id = $1', [keyId])).rows[0];
const finish = async (id: string) => (await pool.query('select finish_rotation($1) as proof', [id])).rows[0]?.proof;

t.test('the runtime role rewrites no blob and no key id by itself', async (t) => {
  await addKey('key-plain', 'mk-other');
  for (const column of ['blob', 'master_key_id', 'integrity_key_id', 'wrap_algorithm']) {
    const value = column === 'blob' ? "''" : "'x'";
    await t.rejects(pool.query(`update wrapped_key set ${column} = ${value}`), { code: '42501' }, column);
  }
  await t.rejects(pool.query('delete from replaced_blob'), { code: '42501' });
});

t.test('a rotation moves rows from its old key to its new one, as they were read, and nothing else', async (t) => {
  const moved = await addKey('key-a', 'mk-old');
  const changed = await addKey('key-b', 'mk-old');
  const deleted = await addKey('key-c', 'mk-old', 'deleted');
  const elsewhere = await addKey('key-d', 'mk-third');
  const rotation = await insertRotation(pool, { kind: 'master-key', fromId: 'mk-old', toId: 'mk-new' });
  if (rotation === undefined) throw new Error('no rotation');
  t.match(rotation, { state: 'running', total: 2, moved: 0 });
  t.equal(
    await insertRotation(pool, { kind: 'integrity-key', fromId: 'ik-1', toId: 'ik-2' }),
    undefined,
    'one at a time',
  );
  t.same(await keysToMove(pool, rotation, '', 10), ['key-a', 'key-b']);
  t.same(await keysToMove(pool, rotation, 'key-a', 10), ['key-b']);

  const all = [moved, { ...changed, tag: randomBytes(32) }, deleted, elsewhere];
  const tags = all.map(() => randomBytes(32));
  t.equal(await rewrap(rotation.id, all, tags), 1);
  t.match(await stored('key-a'), { blob: Buffer.from('new'), master_key_id: 'mk-new', tag: tags[0] });
  t.match(await stored('key-b'), { blob: Buffer.from('old'), master_key_id: 'mk-old' }, 'its row had changed');
  t.match(
    await stored('key-c'),
    { blob: Buffer.from('old'), master_key_id: 'mk-old' },
    'deleted keys end with the old key',
  );
  t.match(await stored('key-d'), { master_key_id: 'mk-third' });
  const { rows: kept } = await pool.query('select key_id, blob, tag from replaced_blob');
  t.match(kept, [{ key_id: 'key-a', blob: Buffer.from('old'), tag: moved.tag }], 'what it replaced is kept');

  t.ok(await stepRotation(pool, rotation.id, 'pause'));
  t.equal(await rewrap(rotation.id, [changed], [randomBytes(32)]), 0, 'a paused rotation changes nothing');
  t.equal(await finish(rotation.id), null);
  t.notOk(await stepRotation(pool, rotation.id, 'pause'), 'a step that the state does not allow');
  t.ok(await stepRotation(pool, rotation.id, 'resume'));
  t.match(await finish(rotation.id), { underOldKey: 1, deletedUnderOldKey: 1, underNewKey: 1, underOtherKeys: 2 });
  t.match(
    await openRotation(pool),
    { id: rotation.id, state: 'running', moved: 1 },
    'not finished while a row is left',
  );

  t.equal(await rewrap(rotation.id, [changed], [randomBytes(32)]), 1);
  t.equal(await countToMove(pool, rotation), 0);
  t.match(await finish(rotation.id), { underOldKey: 0, deletedUnderOldKey: 1, underNewKey: 2 });
  t.match((await readRotations(pool))[0], { state: 'finished', proof: { underOldKey: 0, underNewKey: 2 } });
  await t.rejects(addKey('key-late', 'mk-old'), { code: '23514' }, 'no new row can name the old key');
  await addKey('key-e', 'mk-new');
  const of = (masterKey: string) =>
    ({ current: { masterKey: { id: masterKey }, integrityKey: { id: 'ik-1' } } }) as unknown as KeyRing;
  await t.rejects(refuseRetiredKeys(pool, of('mk-old')), {
    code: 'CONFIG_INVALID',
    detail: /mk-old, which a rotation/,
  });
  await refuseRetiredKeys(pool, of('mk-new'));

  t.equal((await pool.query('select forget_replaced_blobs($1) as n', [rotation.id])).rows[0]?.n, '0', 'not yet');
  t.ok(await stepRotation(pool, rotation.id, 'destroyed'));
  t.equal((await pool.query('select forget_replaced_blobs($1) as n', [rotation.id])).rows[0]?.n, '2');
});

t.test('an insert that is under way when a rotation ends is waited for, and counted', async (t) => {
  const rotation = await insertRotation(pool, { kind: 'master-key', fromId: 'mk-third', toId: 'mk-fourth' });
  if (rotation === undefined) throw new Error('no rotation');
  const left = await keysToMove(pool, rotation, '', 10);
  const { rows } = await pool.query('select key_id as "keyId", tag from wrapped_key where key_id = any($1)', [left]);
  t.equal(
    await rewrap(
      rotation.id,
      rows,
      rows.map(() => randomBytes(32)),
    ),
    left.length,
  );

  const slow = await pool.connect();
  await slow.query('begin');
  await slow.query(
    `insert into wrapped_key select 'key-slow', 'key-slow', key_store, organisation, scheme, curve, public_key, blob,
       wrap_algorithm, wrap_mechanism, 'mk-third', integrity_key_id, allowed_kinds, status, tag, attestation
     from wrapped_key where key_id = 'key-e'`,
  );
  const ended = finish(rotation.id);
  await slow.query('commit');
  slow.release();
  t.match(await ended, { underOldKey: 1 });
  t.ok(await stepRotation(pool, rotation.id, 'abort'), 'an aborted rotation leaves both keys in use');
  await addKey('key-f', 'mk-third');
});

t.test('rotating back to a retired key lets rows name it again', async (t) => {
  const rotation = await insertRotation(pool, { kind: 'master-key', fromId: 'mk-new', toId: 'mk-old' });
  if (rotation === undefined) throw new Error('no rotation');
  t.match(await addKey('key-g', 'mk-old'), { keyId: 'key-g' });
  await stepRotation(pool, rotation.id, 'abort');
});

t.test('a rotation takes the steps it may, and is resumed from a pause only: by an order once', async (t) => {
  const rotation = await insertRotation(pool, { kind: 'master-key', fromId: 'mk-fourth', toId: 'mk-fifth' });
  if (rotation === undefined) throw new Error('no rotation');
  const { id } = rotation;
  const now = async () => (await readRotations(pool))[0];
  const write = (assignments: string) => pool.query(`update rotation set ${assignments} where id = $1`, [id]);
  const order = (orderId: string) => `resumed_by = '{"order": {"id": "${orderId}"}}'`;
  const notAllowed = { code: '23514' };
  await t.rejects(write("state = 'destroyed'"), notAllowed);
  await t.rejects(write(order('one')), notAllowed, 'it is running');
  await t.rejects(write('resumes = 0'), { code: '42501' });
  await write("state = 'running', stuck = '{key-x}'");
  t.match(await now(), { state: 'running', stuck: ['key-x'], resumes: 0, resumedBy: null });

  await write("state = 'paused'");
  for (const state of ['finished', 'destroyed']) await t.rejects(write(`state = '${state}'`), notAllowed, state);
  await t.rejects(write(order('one')), notAllowed, 'it stays paused');
  await t.rejects(write(`state = 'aborted', ${order('one')}`), notAllowed);
  await t.rejects(write("state = 'running', resumed_by = '{}'"), { code: '23502' }, 'no order');
  await write(`state = 'running', ${order('one')}`);
  t.match(await now(), { state: 'running', resumes: 1, resumedBy: { order: { id: 'one' } } });
  await write("state = 'paused'");
  await t.rejects(write("state = 'running'"), { code: '23505' }, 'an order resumes once');
  await t.rejects(write(`state = 'running', ${order('one')}`), { code: '23505' });
  await write(`state = 'running', ${order('two')}`);
  await write("state = 'paused'");
  await write("state = 'running', resumed_by = null");
  t.match(await now(), { state: 'running', resumes: 3, resumedBy: null });

  await write("state = 'aborted'");
  for (const state of ['running', 'paused', 'finished', 'destroyed'])
    await t.rejects(write(`state = '${state}'`), notAllowed, state);
  for (const statement of ['insert into rotation_resume_order select null, null', 'delete from rotation_resume_order'])
    await t.rejects(pool.query(statement), { code: '42501' }, statement);
  const backedUp = (await backupTables(pool)).map(({ name }) => name);
  t.ok(backedUp.includes('rotation_resume_order'), 'after a restore an order that was used is still used');
});

t.test('a row that is added says what shall begin, and not how far it is or that it was resumed', async (t) => {
  const insert = (column: string, value: string) =>
    pool.query(
      `insert into rotation (id, kind, from_id, to_id, state, total, ${column})
       values (gen_random_uuid(), 'master-key', 'mk-a', 'mk-b', 'running', 0, ${value})`,
    );
  for (const [column, value] of [
    ['resumes', '1'],
    ['resumed_by', "'{}'"],
    ['moved', '1'],
    ['proof', "'{}'"],
  ] as const)
    await t.rejects(insert(column, value), { code: '42501' }, column);
});

t.test('a rotation of the integrity key changes tags, and no blob', async (t) => {
  const rotation = await insertRotation(pool, { kind: 'integrity-key', fromId: 'ik-1', toId: 'ik-2' });
  if (rotation === undefined) throw new Error('no rotation');
  const { rows } = await pool.query<Row>('select key_id as "keyId", tag from wrapped_key order by key_id');
  t.equal(rotation.total, rows.length, 'deleted keys too: their rows stay checkable');
  t.equal(
    await rewrap(
      rotation.id,
      rows,
      rows.map(() => randomBytes(32)),
    ),
    0,
  );
  const retag = async (some: readonly Row[]) =>
    (
      await pool.query('select retag_keys($1, $2, $3, $4) as n', [
        rotation.id,
        some.map((row) => row.keyId),
        some.map((row) => row.tag),
        some.map(() => randomBytes(32)),
      ])
    ).rows[0]?.n;
  t.equal(await retag(rows), String(rows.length));
  t.equal(await retag(rows), '0', 'a second time nothing fits');
  t.match(await finish(rotation.id), { underOldKey: 0, underNewKey: rows.length });
  await t.rejects(addKey('key-h', 'mk-new'), { code: '23514' });
});
