import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { openAuthority } from '../scripts/local/certificates.ts';
import { startDriverList } from '../src/api/driver/driver-list.ts';
import { addNode } from '../src/api/driver/driver-nodes.ts';
import { aboutNode } from '../src/api/driver/ordered-nodes.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { readOperators } from '../src/shared/orders/operators.ts';
import { openTestDatabases } from './support/database.ts';
import { hsmDriver } from './support/node-commands.ts';
import { makeOperators } from './support/operators.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** With operators configured, the API lets in driver nodes that they ordered, and believes no row without their order. */
const directory = temporaryDirectory(t);
const databases = await openTestDatabases(t);
const log = createLog('silent', {});
const pool = createPool(databases.api, { applicationName: 'test', max: 2, durability: 'durable' }, log);
t.teardown(() => pool.end());
const operators = makeOperators(directory, ['alice', 'bob', 'carol'], 2);
const authority = join(directory, 'drivers');
const drivers = await openAuthority(authority, 'Drivers');
const server = await (await openAuthority(join(directory, 'servers'), 'Servers')).issue('localhost', 'server');
const config = join(directory, 'api.yaml');
writeFileSync(
  config,
  stringify({
    kind: 'api',
    application: { host: '127.0.0.1', port: 8443, ...server },
    driver: { host: '127.0.0.1', port: 8444, ...server, clientCaFile: drivers.certificateFile },
    database: databases.api,
    userActionSecretFile: 'secret',
    keyStores: [{ id: 'main', primary: true, attestationPublicKey: `04${'ab'.repeat(64)}` }],
    operators: operators.configuration,
  }),
);
const list = await startDriverList({
  pool,
  configured: [{ name: 'configured', keyStore: 'main' }],
  operators: readOperators(operators.configuration),
  log,
});
t.teardown(() => list.stop());
const presented = async (name: string) => {
  const { certificateFile } = await drivers.issue(name, 'client');
  return { x509: new X509Certificate(readFileSync(certificateFile)), commonName: name };
};
const letIn = async (name: string): Promise<boolean> => {
  try {
    return list.nodeOf(await presented(name)).name === name;
  } catch {
    return false;
  }
};
/** The table was read again since. */
const readAgain = () => new Promise<void>((resolve) => list.onChange(resolve));

t.test('a node is added by an order for exactly its certificate, which is issued first', async (t) => {
  const add = (...more: string[]) =>
    hsmDriver(
      'api',
      'driver',
      'add',
      '--config',
      config,
      '--node',
      'n-1',
      '--key-store',
      'main',
      '--authority',
      authority,
      ...more,
    );
  const asked = await add();
  t.match(asked, { code: 25, stderr: /ORDER_MISSING: .*driver-add of n-1, certificate [0-9a-f]{64}, key store main/ });
  const subject = /n-1, certificate [0-9a-f]{64}/.exec(asked.stderr)?.[0] ?? '';
  const forAnother = operators.orderFile('main', { kind: 'driver-add', subject: 'n-1, common name' });
  t.match(await add('--order', forAnother), { code: 25, stderr: /ORDER_REFUSED/ });
  const order = operators.orderFile('main', { kind: 'driver-add', subject });
  t.match(await add('--order', order), { code: 0, stdout: /n-1 is on the list/ });
  t.match(await add('--order', order), { code: 25, stderr: /ORDER_USED/ });
  await until('it is let in', () => letIn('n-1'));
});

t.test('a row of the database alone lets nobody in, whatever it says', async (t) => {
  await addNode(pool, { name: 'unordered', keyStore: 'main' });
  const byOne = operators.order('main', aboutNode({ name: 'by-one', keyStore: 'main' }), ['carol']);
  await addNode(pool, { name: 'by-one', keyStore: 'main' }, byOne);
  await addNode(pool, { name: 'configured', keyStore: 'other' });
  // The order of another node, and one for another certificate of the same node.
  const ordered = operators.order('main', aboutNode({ name: 'ordered', keyStore: 'main' }));
  await addNode(pool, { name: 'thief', keyStore: 'main' }, ordered);
  await addNode(pool, { name: 'ordered', keyStore: 'main', certificateSha256: 'ab'.repeat(32) }, ordered);
  await readAgain();
  await readAgain();
  for (const name of ['unordered', 'by-one', 'thief', 'ordered']) t.notOk(await letIn(name), name);
  t.ok(await letIn('n-1'));
  t.match(
    list.nodeOf(await presented('configured')),
    { keyStore: 'main' },
    'and it stands in no configured node’s way',
  );
  await addNode(pool, { name: 'ordered', keyStore: 'main' }, ordered);
  await until('with its own order it is', () => letIn('ordered'));
});

t.test('to revoke takes no order', async (t) => {
  t.match(await hsmDriver('api', 'driver', 'revoke', '--config', config, '--node', 'ordered'), { code: 0 });
  await until('it is out', async () => !(await letIn('ordered')));
});
