import t from 'tap';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { installUnscheduled } from './support/maintenance-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { createKeyStore } from './support/soft-token.ts';
import { openTcpProxy } from './support/tcp-proxy.ts';
import { until } from './support/until.ts';

/** The database's host loses its power: packets vanish, no connection ends. */
const databases = await openTestDatabases(t);
await installUnscheduled(databases.driver);
const proxy = await openTcpProxy(t, databases.driver.port);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);

t.test('a node that is told to end while its database is in a black hole ends', async (t) => {
  const database = { ...databases.driver, port: proxy.port };
  const parts = { api, certificates, database, store };
  const node = startNode(t, await writeNodeConfiguration(t, parts, { maintenance: { pollSeconds: 0.5 } }));
  await node.line('slot ready');
  await node.line('maintenance started');
  proxy.freeze();
  await node.line('cluster view lost; this node goes on by itself');
  node.signalGroup('SIGTERM');
  let ended: Awaited<typeof node.exited> | undefined;
  void node.exited.then((how) => {
    ended = how;
  });
  // Not only when the last statement is given up, half a minute later.
  t.strictSame(await until('it has ended', () => ended), { code: 0, signal: null });
});
