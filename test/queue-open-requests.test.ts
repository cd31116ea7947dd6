import type pg from 'pg';
import t from 'tap';
import { createHeldRows } from '../src/api/queue/held-rows.ts';
import { createHolds } from '../src/api/queue/holds.ts';
import { createOpenRequests } from '../src/api/queue/open-requests.ts';
import type { NewRequest } from '../src/api/queue/request.ts';
import { openTestDatabases } from './support/database.ts';
import { makeKey, openQueue, organisation, signRequest } from './support/queue.ts';

const databases = await openTestDatabases(t);
const limit = 100;
const queue = await openQueue(t, databases.api, 300_000, limit);
const key = await makeKey(queue);
const limits = { openRequestsPerOrganisation: limit, priorities: {} };

/** Empties the queue the way drivers do, without outcomes. */
t.afterEach(async () => {
  await queue.pool.query(
    "update request set state = 'failed', lease = null, instance = null where state in ('queued', 'leased')",
  );
});

/** The database, each answer of which arrives late: what `meanwhile` does falls between its answer and its arrival. */
function answeringLate(meanwhile: () => Promise<void>): pg.Pool {
  const late = async (...query: Parameters<pg.Pool['query']>) => {
    const answer = await (queue.pool.query as (...args: unknown[]) => Promise<unknown>)(...query);
    await meanwhile();
    return answer;
  };
  return { query: late } as unknown as pg.Pool;
}

/** Makes requests of an organisation of its own, which has none open. */
async function from(id: string): Promise<() => NewRequest> {
  await queue.pool.query("insert into organisation (id, name) values ($1, 'Test')", [id]);
  return () => {
    const request = signRequest(key.id);
    return { ...request, requester: { ...request.requester, organisation: id } };
  };
}

/** How many more requests may enter before the cap. */
function room(openRequests: ReturnType<typeof createOpenRequests>): number {
  for (let entered = 0; ; entered += 1) {
    try {
      openRequests.enter(signRequest(key.id));
    } catch {
      return entered;
    }
  }
}

t.test('a row that is inserted while held rows are read is not taken for a lost one', async (t) => {
  const again: NewRequest[] = [];
  const holds = createHolds(() => {});
  const put = async (): Promise<void> => {
    const request = signRequest(key.id);
    holds.enter(request.id);
    holds.noteRow((await queue.application.submit(request)).row, request);
  };
  const heldRows = createHeldRows({
    pool: answeringLate(put),
    holds,
    hints: { work() {}, done() {}, stop() {} },
    submitter: {
      async submit(request) {
        again.push(request);
        throw new Error('not again');
      },
    },
    openRequests: createOpenRequests(queue.pool, limits),
    failed: (error) => t.fail(String(error)),
  });
  await put();
  await heldRows.readAndRestore();
  t.equal(holds.ids().length, 2, 'the second came in between');
  t.same(again, []);
});

t.test('a request is counted once, whether the table’s count has its row or not', async (t) => {
  const rows = Array.from({ length: 4 }, () => signRequest(key.id));
  const [committed, entering, made, ended] = rows as [NewRequest, NewRequest, NewRequest, NewRequest];
  const settle = new Map<NewRequest, (made: boolean) => void>();
  const openRequests = createOpenRequests(
    answeringLate(async () => {
      settle.get(made)?.(true);
      openRequests.close(organisation);
    }),
    limits,
  );
  for (const request of [committed, entering, made]) settle.set(request, openRequests.enter(request).settle);
  // Their rows are in the table; that they were made is known here of none, of one meanwhile.
  for (const request of [committed, made, ended]) await queue.application.submit(request);
  await openRequests.refresh();
  // Open here: committed, entering, made; `ended` is closed while it is counted.
  settle.get(committed)?.(true);
  settle.get(entering)?.(true);
  t.equal(room(openRequests), limit - 3);
});

t.test('what makes no new row does not count', async (t) => {
  const openRequests = createOpenRequests(queue.pool, limits);
  const request = signRequest(key.id);
  const senders = [openRequests.enter(request), openRequests.enter(request)];
  for (const sender of senders) sender.settle(false);
  openRequests.enter(signRequest(key.id)).settle(true);
  t.equal(room(openRequests), limit - 1);
});

t.test('the same request sent again and again does not use up the cap', async (t) => {
  const request = await from('or-again');
  const same = request();
  await Promise.all(Array.from({ length: 3 * limit }, () => queue.application.submit(same)));
  const others = Array.from({ length: limit - 1 }, () => queue.application.submit(request()));
  await t.resolves(Promise.all(others), 'there is room for as many others as the cap says');
});

t.test('of a crowd that comes at once exactly as many are let in as the cap says', async (t) => {
  const request = await from('or-crowd');
  const crowd = Array.from({ length: 2 * limit }, () => queue.application.submit(request()));
  const sent = await Promise.allSettled(crowd);
  t.equal(sent.filter(({ status }) => status === 'fulfilled').length, limit);
});
