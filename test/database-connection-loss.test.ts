import t from 'tap';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openTestDatabases } from './support/database.ts';
import { openTcpProxy } from './support/tcp-proxy.ts';

const databases = await openTestDatabases(t, { migrated: false });
const wire = await openTcpProxy(t, databases.server.port);
const pool = createPool(
  { ...databases.api, port: wire.port },
  { applicationName: 'test', max: 2, durability: 'durable' },
  createLog('error', {}),
);
t.teardown(() => pool.end());

t.test(
  'a connection that breaks between two queries of a transaction fails the next one, not the process',
  async (t) => {
    const client = await pool.connect();
    await client.query('begin');
    const ended = new Promise((resolve) => client.once('end', resolve));
    wire.cut();
    await ended;
    await t.rejects(client.query('select 1'));
    client.release(true);
  },
);

t.test('and the pool makes a new one', async (t) => {
  const { rows } = await pool.query<{ one: number }>('select 1 as one');
  t.strictSame(rows, [{ one: 1 }]);
});
