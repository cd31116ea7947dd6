import t from 'tap';
import { insertRequests } from '../src/api/queue/insert-requests.ts';
import type { NewRequest } from '../src/api/queue/request.ts';
import { openTestDatabases } from './support/database.ts';
import { holdInsert, insertsWaiting } from './support/held-insert.ts';
import { makeKey, openQueue, signRequest } from './support/queue.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api);
const other = await openQueue(t, databases.api);
const key = await makeKey(queue);
const { pool } = queue;
const insert = (requests: readonly NewRequest[]) =>
  insertRequests(
    pool,
    requests.map((request) => ({ request, place: { priority: 0, turn: 0 } })),
    300_000,
  );

t.test('two processes that insert the same ids crosswise do not lock each other out', async (t) => {
  const [first, middle, last] = ['a', 'b', 'c']
    .map((externalId) => signRequest(key.id, { externalId }))
    .sort((one, other) => (one.id < other.id ? -1 : 1));
  if (first === undefined || middle === undefined || last === undefined) throw new Error('three requests');
  const again = (request: NewRequest): NewRequest => ({ ...request, userAction: `${request.userAction}-again` });

  const letGo = await holdInsert(t, pool, middle);
  // In the order in which they came, the one would hold the last and want the first, the other the first and the last.
  const one = insert([last, again(middle), first]);
  await until('the first insert waits', async () => (await insertsWaiting(pool)) === 1);
  const two = insert([again(first), again(last)]);
  await until('both inserts wait', async () => (await insertsWaiting(pool)) === 2);
  await letGo();
  t.same([...(await one).keys()].sort(), [first.id, middle.id, last.id]);
  t.equal((await two).size, 0);
});

t.test('user actions that are used twice, crosswise, fail nobody else of the batches', async (t) => {
  const requests = ['d', 'e', 'f', 'g', 'h', 'i']
    .map((externalId) => signRequest(key.id, { externalId }))
    .sort((one, other) => (one.id < other.id ? -1 : 1));
  // Both hold one when they meet at the middle; there one waits for the other, which then wants what the first holds.
  const userActions = ['cross-1', 'cross-2', 'cross-middle', 'cross-middle', 'cross-1', 'cross-2'];
  const crossing = requests.map((request, at) => ({ ...request, userAction: userActions[at] ?? '' }));
  const bystanders = [signRequest(key.id), signRequest(key.id)];
  const submit = ({ application }: typeof queue, requests: readonly (NewRequest | undefined)[]) =>
    requests.map((request) => application.submit(request as NewRequest));

  const letGo = await holdInsert(t, pool, signRequest(key.id, { userAction: 'cross-middle' }));
  const one = submit(queue, [crossing[0], crossing[2], crossing[5], bystanders[0]]);
  const two = submit(other, [crossing[1], crossing[3], crossing[4], bystanders[1]]);
  await until('both inserts wait', async () => (await insertsWaiting(pool)) === 2);
  await letGo();
  const ends = await Promise.allSettled([...one, ...two]);
  const made = ends.filter(({ status }) => status === 'fulfilled');
  t.equal(made.length, 5, 'one for each user action, and those of the bystanders');
  for (const end of ends) if (end.status === 'rejected') t.match(end.reason, { code: 'USER_ACTION_USED' });
  t.match([ends[3]?.status, ends[7]?.status], ['fulfilled', 'fulfilled']);
  const { rows } = await pool.query("select user_action from request where user_action like 'cross-%' order by 1");
  t.same(
    rows.map((row) => row.user_action),
    ['cross-1', 'cross-2', 'cross-middle'],
  );
});

t.test('a webhook that is being deleted fails nobody whose signature it was to hear of', async (t) => {
  await pool.query(
    `insert into webhook (id, organisation, url, events, sealed_secret)
     values ('wh-going', 'or-test', 'https://example.com', '{*}', '\\x00')`,
  );
  const deleting = await pool.connect();
  t.teardown(() => deleting.release());
  await deleting.query("begin; delete from webhook where id = 'wh-going'");
  const submitted = [1, 2, 3].map(() => queue.application.submit(signRequest(key.id)));
  await until('the insert waits', async () => (await insertsWaiting(pool)) === 1);
  await deleting.query('commit');
  t.match(await Promise.all(submitted), [{ fresh: true }, { fresh: true }, { fresh: true }]);
});
