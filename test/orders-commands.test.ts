import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { recordOrder } from '../src/shared/orders/used-orders.ts';
import { openTestDatabases } from './support/database.ts';
import { nodeCommands, hsmDriver as run } from './support/node-commands.ts';
import { makeOperators } from './support/operators.ts';
import { temporaryDirectory } from './support/soft-token.ts';

/** `hsm-driver order …`, and a command that needs an order. */
const directory = temporaryDirectory(t);
const databases = await openTestDatabases(t);
const pool = createPool(
  databases.driver,
  { applicationName: 'test', max: 2, durability: 'durable' },
  createLog('silent', {}),
);
t.teardown(() => pool.end());
const operators = makeOperators(directory, ['alice', 'bob'], 2);
const { config } = nodeCommands(directory, {
  keyStore: 'main',
  database: databases.driver,
  operators,
  stateDirectory: join(directory, 'state'),
});
const order = join(directory, 'clear.json');
const clear = (...more: string[]) => run('pin', 'clear', '--config', config, '--slot', 'hsm-1', '--yes', ...more);
const sign = (operator: string, ...more: string[]) =>
  run(
    'order',
    'sign',
    '--order',
    order,
    '--operator',
    operator,
    '--private-key',
    operators.privateKeyFile(operator),
    ...more,
  );

t.test('an order is written, shown, and signed by one operator after the other', async (t) => {
  const made = await run(
    ...['order', 'new', '--key-store', 'main', '--kind', 'pin-clear', '--subject', 'node-1/hsm-1'],
    ...['--reason', 'the PIN was mistyped', '--out', order],
  );
  t.equal(made.code, 0, made.stderr);
  t.match(made.stdout, /pin-clear\n.*node-1\/hsm-1\n.*main\n.*the PIN was mistyped\n.*\n.*nobody yet/);
  t.match((await sign('alice')).stdout, /nobody yet\nnothing was signed; add --yes/);
  t.equal((await sign('alice', '--yes')).code, 0);
  const verify = () => run('order', 'verify', '--config', config, '--order', order);
  t.match(await verify(), { code: 25, stderr: /ORDER_REFUSED: .*1 of the 2 operators/ });
  t.equal((await sign('bob', '--yes')).code, 0);
  t.match((await run('order', 'show', '--order', order)).stdout, /signed by +alice, bob/);
  t.match(await verify(), { code: 0, stdout: /good now: 2 of 2 operators/ });
});

t.test('a wrong kind, a time that is none, and a file that is there are refused', async (t) => {
  const make = (...more: string[]) => run('order', 'new', '--key-store', 'main', '--subject', 'x', ...more);
  t.match(await make('--kind', 'dance', '--out', `${order}.new`), { code: 2, stderr: /--kind: / });
  t.match(await make('--kind', 'thaw', '--hours', '9999', '--out', `${order}.new`), { code: 2, stderr: /31 days/ });
  t.match(await make('--kind', 'thaw', '--out', order), { code: 2, stderr: /EEXIST/ });
});

t.test('an order approves a document that is larger than a buffer can be', async (t) => {
  const document = join(directory, 'backup.jsonl');
  writeFileSync(document, '');
  // Nothing but zeros, which take no room.
  truncateSync(document, 2 ** 31 + 1);
  const about = ['--key-store', 'main', '--kind', 'restore', '--subject', 'b', '--document', document];
  const made = await run('order', 'new', ...about, '--out', `${order}.restore`);
  t.equal(made.code, 0, made.stderr);
  // As sha256sum prints it.
  t.match(made.stdout, 'document   sha256 b8030a8ab89280935633d8d991da3d9907c0f12e8b6fc3bfc515f4d440872b6e');
});

t.test('a PIN is cleared by a signed order, once', async (t) => {
  t.match(await clear(), { code: 25, stderr: /ORDER_MISSING: .*pin-clear of node-1\/hsm-1, key store main/ });
  const done = await clear('--order', order);
  t.match(done, { code: 0, stdout: /one more try is allowed/ }, done.stderr);
  t.match(await clear('--order', order), { code: 25, stderr: /ORDER_USED: / });
  const { rows } = await pool.query('select id, kind, subject, operators, node from used_order');
  t.match(rows, [{ kind: 'pin-clear', subject: 'node-1/hsm-1', operators: ['alice', 'bob'], node: 'node-1' }]);
  t.equal(rows[0].id, JSON.parse(readFileSync(order, 'utf8')).order.id);
});

t.test('of several uses of one order at once, one succeeds', async (t) => {
  const signed = operators.order('main', { kind: 'thaw', subject: 'x' });
  const results = await Promise.allSettled([1, 2, 3].map(() => recordOrder(pool, signed, { node: 'node-1' })));
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const result of results) if (result.status === 'rejected') t.equal(result.reason.code, 'ORDER_USED');
});

t.test('the runtime role can neither change nor remove a used order', async (t) => {
  await t.rejects(pool.query('update used_order set id = gen_random_uuid()'), { code: '42501' });
  await t.rejects(pool.query('delete from used_order'), { code: '42501' });
});
