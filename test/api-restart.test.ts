import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import pg from 'pg';
import t from 'tap';
import { connectionOptions } from '../src/shared/database/pool.ts';
import { openSystem } from './support/system.ts';
import { until } from './support/until.ts';

const system = await openSystem(t);
const key = await system.sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } });

function connectTo(database: typeof system.databases.api): Promise<pg.Client> {
  const client = new pg.Client(connectionOptions(database, { applicationName: 'test', durability: 'durable' }));
  t.teardown(() => client.end());
  return client.connect().then(() => client);
}

function workers(): number[] {
  return system.nodes.flatMap(({ pid }) =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  );
}

t.test(
  'an API process that is killed under a held POST costs one retry with the same externalId, and nothing else',
  async (t) => {
    const [api, driver] = await Promise.all([connectTo(system.databases.api), connectTo(system.databases.driver)]);
    const externalId = randomBytes(8).toString('hex');
    const body = { kind: 'Hash' as const, hash: randomBytes(32).toString('hex'), externalId };
    const sign = () => system.sdk.keys.generateSignature({ keyId: key.id, body });

    // Nobody works on it while the API dies.
    for (const worker of workers()) process.kill(worker, 'SIGSTOP');
    const held = sign().then(
      () => 'answered',
      () => 'failed',
    );
    await until('the request is stored', async () => {
      const { rowCount } = await api.query('select 1 from request where external_id = $1', [externalId]);
      return rowCount === 1;
    });
    process.kill(system.api.pid, 'SIGKILL');
    t.equal(await held, 'failed');
    for (const worker of workers()) process.kill(worker, 'SIGCONT');
    const again = system.startApi();
    await again.line('signing API started');

    const first = await sign();
    t.equal(first.status, 'Signed');
    const second = await sign();
    t.same([second.id, second.signature], [first.id, first.signature]);
    const { rows } = await driver.query<{ count: number }>(
      'select count(*)::int as count from journal where request_id = $1',
      [first.id],
    );
    t.same(rows, [{ count: 1 }]);
  },
);
