import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { insertFreeze, insertThaw } from '../src/shared/freezes/freeze.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { nodeCommands } from './support/node-commands.ts';
import { makeOperators } from './support/operators.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { keyOffer, keyStore, makeKey, organisation, signOffer, startSlotWorker } from './support/slot-worker.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** Freeze and thaw over two nodes, by the commands that an operator has; the signing API knows nothing of it. */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const directory = temporaryDirectory(t);
const operators = makeOperators(directory, ['alice', 'bob'], 2);
const stateDirectory = join(directory, 'state');
const policy = { operators: operators.configuration, stateDirectory };
const start = (node: string) => startSlotWorker(t, { api, certificates, database: databases.driver, policy, node });
const workers = [await start('node-1'), await start('node-2')];
const commands = nodeCommands(directory, { keyStore, database: databases.driver, operators, stateDirectory });
const pool = workers[0]?.pool;
if (pool === undefined) throw new Error('it is there');
const key = await makeKey(api);
const other = await makeKey(api);

const sign = async (keyId: string, more: { lookUp?: boolean; id?: string } = {}) => {
  const offer = signOffer(keyId, more);
  api.offer(offer);
  return await api.outcome(offer.id);
};
/** Every node has its say: whoever is free takes the next one. */
const signOften = (keyId: string) => Promise.all(Array.from({ length: 12 }, () => sign(keyId)));
const freeze = async (...what: string[]): Promise<string> => {
  const { code, stdout, stderr } = await commands.run('freeze', ...what, '--reason', 'a test');
  if (code !== 0) throw new Error(stderr);
  return /--freeze (\S+)/.exec(stdout)?.[1] ?? '';
};
const thaw = (id: string, order?: string) =>
  commands.run('thaw', '--freeze', id, ...(order === undefined ? [] : ['--order', order]));
const frozen = { kind: 'Error', code: 'FROZEN', retryable: false };
/** Both nodes hold to it. */
const seen = (id: string, by = workers) =>
  until(`freeze ${id} seen`, () => by.every((one) => one.report().policy?.frozen.some((freeze) => freeze.id === id)));
const nothingIsFrozen = () =>
  until('everything is thawed', () => workers.every((one) => one.report().policy?.frozen.length === 0));

t.test('a frozen key signs nowhere, others go on, and two operators thaw it', async (t) => {
  t.match(await sign(key.id), { kind: 'Signatures' });
  const id = await freeze('--key', key.id);
  await seen(id);
  for (const result of await signOften(key.id)) t.match(result, { ...frozen, message: new RegExp(`key ${key.id}`) });
  t.match(await sign(other.id), { kind: 'Signatures' });
  t.match((await commands.run('freeze', 'list')).stdout, new RegExp(`${id} +key +${key.id} .*frozen +a test`));

  const about = { kind: 'thaw', subject: id } as const;
  t.match(await thaw(id), { code: 25, stderr: /ORDER_MISSING/ });
  const byOne = operators.orderFile(keyStore, about, ['alice']);
  t.match(await thaw(id, byOne), { code: 25, stderr: /1 of the 2 operators/ });
  const ofAnother = operators.orderFile(keyStore, { kind: 'thaw', subject: randomUUID() });
  t.match(await thaw(id, ofAnother), { code: 25, stderr: /ORDER_REFUSED: .*it orders thaw of/ });
  t.match(await sign(key.id), frozen, 'nothing was changed');

  const order = operators.orderFile(keyStore, about);
  t.match(await thaw(id, order), { code: 0, stdout: /Thawed/ });
  await nothingIsFrozen();
  for (const result of await signOften(key.id)) t.match(result, { kind: 'Signatures' });
  t.match(await thaw(id, order), { code: 25, stderr: /ORDER_USED/ });
  const all = JSON.parse((await commands.run('freeze', 'list', '--all', '--json')).stdout);
  t.match(all, [{ id, scope: 'key', subject: key.id, reason: 'a test', thawedAt: /T/ }]);
});

t.test('a frozen organisation signs nothing and makes no key; so does a frozen key store', async (t) => {
  for (const what of [['--organisation', organisation], ['--key-store']]) {
    const id = await freeze(...what);
    await seen(id);
    t.match(await sign(other.id), frozen);
    const offer = keyOffer();
    api.offer(offer);
    t.match(await api.outcome(offer.id), frozen);
    await thaw(id, operators.orderFile(keyStore, { kind: 'thaw', subject: id }));
    await nothingIsFrozen();
    t.match(await sign(other.id), { kind: 'Signatures' });
  }
  t.match((await commands.run('freeze', '--reason', 'x')).stderr, /give one of/);
});

t.test('what was signed before is not handed out again while it is frozen', async (t) => {
  const offer = signOffer(key.id);
  api.offer(offer);
  t.match(await api.outcome(offer.id), { kind: 'Signatures' });
  const id = await freeze('--key', key.id);
  await seen(id);
  api.outcomes.delete(offer.id);
  api.redeliver(offer.id, { attempt: 2, lookUp: true });
  t.match(await api.outcome(offer.id), frozen);
  await thaw(id, operators.orderFile(keyStore, { kind: 'thaw', subject: id }));
  await nothingIsFrozen();
});

t.test('what was inside the HSM when its key was frozen does not leave the driver', async (t) => {
  const gate = Promise.withResolvers<void>();
  const inside = new Set<string>();
  const before = workers.map(({ hsm }) => hsm.sign);
  for (const { hsm } of workers) {
    const { sign } = hsm;
    hsm.sign = async (jobs) => {
      for (const { requests } of jobs) for (const { requestId } of requests) inside.add(requestId);
      await gate.promise;
      return await sign(jobs);
    };
  }
  const offer = signOffer(key.id);
  api.offer(offer);
  await until('it is in the HSM', () => inside.has(offer.id));
  const id = await freeze('--key', key.id);
  await seen(id);
  gate.resolve();
  t.match(await api.outcome(offer.id), frozen);
  for (const [at, { hsm }] of workers.entries()) hsm.sign = before[at] ?? hsm.sign;
  await thaw(id, operators.orderFile(keyStore, { kind: 'thaw', subject: id }));
  await nothingIsFrozen();
});

t.test('a writer in the database can neither thaw nor make a node forget', async (t) => {
  const id = randomUUID();
  await insertFreeze(pool, { id, scope: 'key', subject: key.id, reason: 'x', node: 'x' });
  await seen(id);
  await insertThaw(pool, id, { order: operators.order(keyStore, { kind: 'thaw', subject: id }, ['bob']), node: 'x' });
  await databases.driverAsOwner('delete from frozen where id = $1', [id]);
  const refused = () =>
    workers.every((one) => one.log.some(({ msg, freeze }) => msg === 'thaw is not good' && freeze === id));
  await until('both looked at the bad thaw', refused);
  for (const result of await signOften(key.id)) t.match(result, frozen);
  // Nor does a node that starts anew.
  await Promise.all(workers.map((one) => one.stop()));
  workers.push(await start('node-1'));
  t.match(await sign(key.id), frozen);
  await t.rejects(pool.query('delete from frozen'), /Cannot use a pool|permission denied/);
});

t.test('the audit log tells who froze and who thawed', async (t) => {
  const started = workers.at(-1)?.pool;
  const { rows } = await (started ?? pool).query<{ entry: string }>(
    'select entry from audit_entry order by chain, sequence',
  );
  const entries = rows.map(({ entry }) => JSON.parse(entry));
  t.ok(entries.some(({ kind, scope, reason }) => kind === 'frozen' && scope === 'organisation' && reason === 'a test'));
  t.ok(entries.some(({ kind }) => kind === 'thawed'));
  t.match(
    entries.find(({ kind }) => kind === 'order-carried-out'),
    { action: /^thaw of /, operators: ['alice', 'bob'] },
  );
});
