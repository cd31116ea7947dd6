import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import t, { type Test } from 'tap';
import { fence, readLease, renewLease, resignLease, takeLease } from '../src/primary/cluster/leader.ts';
import { type ClusterView, createMembership } from '../src/primary/cluster/membership.ts';
import { beat, type NodeSlot } from '../src/primary/cluster/nodes.ts';
import { clusterPool } from '../src/primary/cluster/statement.ts';
import { createClusterTurns, grantTurns, replacingWorkers } from '../src/primary/cluster/turns.ts';
import { verdictOf } from '../src/primary/cluster/verdict.ts';
import type { DatabaseConfiguration } from '../src/shared/configuration/sections.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';
import { startTimer } from './support/in-time.ts';
import { openTcpProxy } from './support/tcp-proxy.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);

/** Each test begins with a cluster that nobody leads and in which nobody waits. */
t.beforeEach(async () => {
  const pool = poolOf(databases.driver, 'reset');
  await pool.query(`update leader set until = '-infinity'`);
  await pool.query('delete from turn');
  await pool.query('delete from node');
  await pool.end();
});

function poolOf(database: DatabaseConfiguration, node: string): pg.Pool {
  return createPool(database, { applicationName: node, ...clusterPool }, quiet());
}

function quiet() {
  return createLog('silent', {});
}

interface Member {
  readonly self: { readonly node: string; readonly instance: string; readonly version: string };
  readonly pool: pg.Pool;
  readonly lines: Record<string, unknown>[];
  view(): ClusterView;
  leads(): boolean;
  take(purpose: string, slot?: string): Promise<{ end(): void }>;
  stop(): Promise<void>;
}

const readySlot: NodeSlot = { name: 'a', token: 't 1', state: 'ready', forMs: 60_000, why: '', masterKeyId: 'mk' };

/** A node’s part in the cluster, without its workers. */
function join(t: Test, node: string, database = databases.driver, slots: readonly NodeSlot[] = [readySlot]): Member {
  const self = { node, instance: randomUUID(), version: '1' };
  const lines: Record<string, unknown>[] = [];
  const log = createLog('debug', { node }, { write: (line) => void lines.push(JSON.parse(line)) });
  const pool = poolOf(database, node);
  const membership = createMembership({ pool, self, slots: () => slots, log });
  const turns = createClusterTurns({
    pool,
    self,
    leaderlessMs: () => membership.leaderlessMs(),
    onAsked: () => membership.poke(),
    log,
  });
  membership.start();
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= membership.stop().then(() => pool.end());
    return stopped;
  };
  t.teardown(stop);
  return {
    self,
    pool,
    lines,
    view: () => membership.view(),
    leads: () => membership.view().leader?.self === true,
    take: (purpose, slot = 'a') => turns.take(purpose, slot, new AbortController().signal),
    stop,
  };
}

t.test('one of two nodes leads, and both see both and the verdict', async (t) => {
  const [a, b] = [join(t, 'node-1'), join(t, 'node-2')];
  await until('one leads', () => a.leads() !== b.leads());
  for (const member of [a, b]) {
    await until('sees both', () => member.view().nodes.filter((one) => one.live).length === 2);
    const verdict = await until('verdict', () => {
      const { verdict } = member.view();
      return verdict?.nodes.live.length === 2 && verdict;
    });
    t.strictSame(verdict.slots.ready, ['node-1/a', 'node-2/a']);
    t.strictSame(verdict.alarms, []);
  }
});

t.test('a leader that ends hands over at once', async (t) => {
  const [a, b] = [join(t, 'node-1'), join(t, 'node-2')];
  await until('one leads', () => a.leads() || b.leads());
  const [leader, other] = a.leads() ? [a, b] : [b, a];
  const taken = startTimer(t);
  await leader.stop();
  await until('the other leads', () => other.leads());
  taken('taken over from the one that ended', 5_000);
  await until('it is gone, not dead', () => other.view().nodes.length === 1);
});

t.test('a leader in a black hole knows that it leads no more before another leads', async (t) => {
  const proxy = await openTcpProxy(t, databases.server.port);
  const cut = join(t, 'node-1', { ...databases.driver, port: proxy.port });
  await until('it leads', () => cut.leads());
  const other = join(t, 'node-2');
  await until('the other follows', () => other.view().leader?.node === 'node-1');
  proxy.freeze();
  const taken = startTimer(t);
  let lostAt = 0;
  let tookAt = 0;
  await until('taken over', () => {
    t.notOk(cut.leads() && other.leads(), 'never two');
    if (lostAt === 0 && !cut.leads()) lostAt = performance.now();
    if (other.leads()) tookAt = performance.now();
    return tookAt > 0;
  });
  t.ok(lostAt > 0 && lostAt <= tookAt);
  taken('taken over from the one in a black hole', 5_000);
  await until('the other sees its death', () => other.view().nodes.some((one) => one.node === 'node-1' && !one.live));
  await until('and says so', () => other.view().verdict?.alarms.includes('node node-1 is dead'));
  proxy.thaw();
  await until('it follows', () => cut.view().leader?.node === 'node-2' && cut.view().reachable);
  t.ok(other.leads());
});

t.test('what a leader of the past writes changes nothing', async (t) => {
  const pool = poolOf(databases.driver, 'test');
  t.teardown(() => pool.end());
  const [first, second] = ['node-1', 'node-2'].map((node) => ({ node, instance: randomUUID(), version: '1' }));
  if (first === undefined || second === undefined) throw new Error('two');
  await beat(pool, first, []);
  await beat(pool, second, []);
  /** Gives the leader of now a lease that does not end under this test, however slow the machine is. */
  const lasting = async (): Promise<string | undefined> => {
    const { rows } = await pool.query<{ until: string }>(
      `update leader set until = clock_timestamp() + interval '1 hour' returning until::text`,
    );
    return rows[0]?.until;
  };
  const epoch = await takeLease(pool, first);
  if (epoch === undefined) throw new Error('nobody led');
  await lasting();
  const old = { instance: first.instance, epoch };
  t.equal(await takeLease(pool, second), undefined, 'the lease is not over');
  const verdict = verdictOf([]);
  t.equal(await renewLease(pool, old, verdict), true);

  await pool.query(`update leader set until = clock_timestamp() - interval '1 second'`); // the first was paused
  const next = await takeLease(pool, second);
  t.equal(next, epoch + 1);
  const end = await lasting();
  const ask = `insert into turn (purpose, instance, slot, node) values ('p', $1, 'a', 'node-2')`;
  await pool.query(ask, [second.instance]);
  t.equal(await renewLease(pool, old, verdict), false);
  t.equal(await grantTurns(pool, old), 0);
  await resignLease(pool, old);
  const lease = await readLease(pool);
  t.equal(lease?.holder, second.instance);
  const { rows } = await pool.query<{ until: string }>('select until::text from leader');
  t.same(rows, [{ until: end }], 'the lease of the second goes on');
  t.equal(await grantTurns(pool, { instance: second.instance, epoch: next as number }), 1);
});

t.test('a takeover waits for the end of what a leader is writing', async (t) => {
  const pool = poolOf(databases.driver, 'test');
  t.teardown(() => pool.end());
  const [first, second] = ['node-1', 'node-2'].map((node) => ({ node, instance: randomUUID(), version: '1' }));
  if (first === undefined || second === undefined) throw new Error('two');
  const epoch = await takeLease(pool, first);
  const client = await pool.connect();
  await client.query('begin');
  const { rows } = await client.query(`with ${fence} select exists (select from fence) as leads`, [
    first.instance,
    epoch,
  ]);
  t.strictSame(rows, [{ leads: true }]);
  const other = poolOf(databases.driver, 'other');
  t.teardown(() => other.end());
  // Ends the lease as time would; it has to wait for the writer too, as the takeover behind it.
  const ended = other.query(`update leader set until = clock_timestamp() - interval '1 second'`).then(() => 'ended');
  t.equal(await Promise.race([ended, new Promise((done) => setTimeout(done, 300, 'waits'))]), 'waits');
  await client.query('commit');
  client.release();
  t.equal(await ended, 'ended');
  t.equal(await takeLease(other, second), (epoch ?? 0) + 1);
});

t.test('turns: one at a time in the cluster, each in the order of asking, others beside it', async (t) => {
  const [a, b] = [join(t, 'node-1'), join(t, 'node-2')];
  await until('one leads', () => a.leads() || b.leads());
  await until('both are there', () => a.view().nodes.length === 2 && b.view().nodes.length === 2);
  const order: string[] = [];
  const first = await a.take('reconnect t 1');
  const second = b.take('reconnect t 1').then((turn) => {
    order.push('second');
    return turn;
  });
  const elsewhere = await b.take('reconnect t 2', 'b');
  t.strictSame(order, [], 'the second waits');
  elsewhere.end();
  order.push('first ends');
  first.end();
  (await second).end();
  t.strictSame(order, ['first ends', 'second']);
  await until('nothing is left', async () => (await a.pool.query('select from turn')).rowCount === 0);
});

t.test('the turn of a node that died goes on', async (t) => {
  const [a, b] = [join(t, 'node-1'), join(t, 'node-2')];
  await until('both are there', () => a.view().nodes.length === 2 && (a.leads() || b.leads()));
  await a.pool.query(
    `insert into turn (purpose, instance, slot, node, granted_at) values ('p', $1, 'a', 'node-3', clock_timestamp())`,
    [randomUUID()],
  );
  (await b.take('p')).end();
});

t.test('a turn ends after a minute, but not of a node that replaces its workers and lives', async (t) => {
  const [a, b] = [join(t, 'node-1'), join(t, 'node-2')];
  await until('both are there', () => a.view().nodes.length === 2 && (a.leads() || b.leads()));
  const lapsed = await a.take('p');
  const replacing = await a.take(replacingWorkers);
  await a.pool.query(`update turn set granted_at = granted_at - interval '61 seconds'`);
  const order: string[] = [];
  const next = b.take(replacingWorkers).then((turn) => {
    order.push('next');
    return turn;
  });
  const taken = await b.take('p');
  order.push('p');
  taken.end();
  // Granted by the same looks of the leader, and again.
  (await b.take('p')).end();
  t.same(order, ['p']);
  replacing.end();
  (await next).end();
  lapsed.end();
});

t.test('where nobody can grant turns a node goes on by itself', async (t) => {
  const pool = poolOf({ ...databases.driver, port: 1 }, 'nowhere');
  t.teardown(() => pool.end());
  const turns = createClusterTurns({
    pool,
    self: { node: 'node-1', instance: randomUUID(), version: '1' },
    leaderlessMs: () => 10_001,
    onAsked: () => {},
    log: quiet(),
  });
  const turn = await turns.take('p', 'a', new AbortController().signal);
  turn.end();
  turn.end();
  const abort = new AbortController();
  abort.abort();
  (await turns.take('p', 'a', abort.signal)).end();
});

t.test('workers are replaced without a turn only where there is no leader', async (t) => {
  const pool = poolOf({ ...databases.driver, port: 1 }, 'nowhere');
  t.teardown(() => pool.end());
  let leaderless = 0;
  let looks = 0;
  const turns = createClusterTurns({
    pool,
    self: { node: 'node-1', instance: randomUUID(), version: '1' },
    leaderlessMs() {
      looks += 1;
      return leaderless;
    },
    onAsked: () => {},
    log: quiet(),
    patienceMs: 0,
  });
  const signal = new AbortController().signal;
  (await turns.take('p', 'a', signal)).end();
  looks = 0;
  const waiting = turns.take(replacingWorkers, 'a', signal);
  await until('it asks on, its patience long over', () => looks >= 3);
  leaderless = 10_001;
  (await waiting).end();
});

t.test('two primaries under one name are told', async (t) => {
  const [a, b] = [join(t, 'node-1'), join(t, 'node-1')];
  const told = ({ lines }: Member) => lines.some((line) => line.msg === 'another primary runs under this node’s name');
  await until('one of them says so', () => told(a) || told(b));
});

t.test('a schema without the cluster’s tables is no reason not to work', async (t) => {
  const lost = join(t, 'node-1', databases.api);
  await until('told', () => lost.lines.some((line) => line.msg === 'cluster view lost; this node goes on by itself'));
  t.equal(lost.view().reachable, false);
  t.equal(lost.lines.filter((line) => line.level === 'warn').length, 1, 'once');
});

t.test('the verdict names what is wrong, and only after a while what may be passing', async (t) => {
  const node = (name: string, slots: readonly NodeSlot[], live = true, version = '1') => ({
    node: name,
    instance: randomUUID(),
    version,
    slots,
    seenAt: '',
    live,
  });
  const not = (state: NodeSlot['state'], forMs: number): NodeSlot => ({
    ...readySlot,
    name: 'b',
    state,
    forMs,
    why: 'x',
  });
  const cases: [string, Parameters<typeof verdictOf>[0], string[]][] = [
    ['all well', [node('n1', [readySlot]), node('n2', [readySlot])], []],
    ['a slot that is replaced', [node('n1', [readySlot, not('recovering', 500)])], []],
    [
      'a slot that does not come back',
      [node('n1', [readySlot, not('recovering', 10_000)])],
      ['slot n1/b is recovering'],
    ],
    ['a latched slot, at once', [node('n1', [readySlot, not('latched', 0)])], ['slot n1/b is latched']],
    ['a dead node', [node('n1', [readySlot]), node('n2', [readySlot], false)], ['node n2 is dead']],
    ['nothing works', [node('n1', [not('suspect', 0)])], ['no slot of the cluster is ready']],
    [
      'different master keys',
      [node('n1', [readySlot]), node('n2', [{ ...readySlot, masterKeyId: 'other' }])],
      ['slots hold different master keys: mk, other'],
    ],
    [
      'a rotation, while each slot holds both keys',
      [
        node('n1', [{ ...readySlot, keys: ['mk', 'other'] }]),
        node('n2', [{ ...readySlot, masterKeyId: 'other', keys: ['other', 'mk'] }]),
      ],
      [],
    ],
    [
      'two versions',
      [node('n1', [readySlot]), node('n2', [readySlot], true, '2')],
      ['nodes run different versions: 1, 2'],
    ],
  ];
  for (const [name, nodes, alarms] of cases) t.strictSame(verdictOf(nodes).alarms, alarms, name);
});
