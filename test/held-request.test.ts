import { readFileSync } from 'node:fs';
import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { call, signedCall, userAction } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';
import { until } from './support/until.ts';

const application = await openLiveApplication(t, { processes: 2, holdMs: 60_000 });
const { account, driver, servers } = application;
const ca = readFileSync(application.caFile);
const { body: key } = await signedCall(application, account, 'POST', '/keys', { scheme: 'ECDSA', curve: 'secp256k1' });
const path = `/keys/${key.id}/signatures`;

t.beforeEach(() => {
  driver.answers = true;
  driver.leased.length = 0;
});

/** A POST over a real connection, which the test may break. */
async function post(body: Record<string, unknown>): Promise<ClientRequest> {
  const server = servers[1] as (typeof servers)[number];
  if (!server.server.listening) await server.listen({ host: '127.0.0.1', port: 0 });
  const payload = JSON.stringify(body);
  const token = await userAction(application, account, 'POST', path, payload);
  const sent = request(`https://127.0.0.1:${(server.server.address() as AddressInfo).port}${path}`, {
    method: 'POST',
    ca,
    headers: {
      authorization: `Bearer ${account.authToken}`,
      'content-type': 'application/json',
      'x-dfns-useraction': token,
    },
  });
  sent.on('error', () => {});
  sent.end(payload);
  return sent;
}

const isLeased = () => driver.leased.some((one) => one.kind === 'Sign');

t.test('the client is gone: the work completes, and the same request gets its signature', async (t) => {
  driver.answers = false;
  const body = { kind: 'Hash', hash: 'ab'.repeat(32), externalId: 'client gone' };
  const sent = await post(body);
  await until('it is with the driver', isLeased);
  sent.destroy();
  driver.answers = true;
  const { body: list } = await until('it is signed', async () => {
    const answer = await call(application, account, 'GET', path);
    return answer.body.items[0]?.status === 'Signed' && answer;
  });
  const again = await signedCall(application, account, 'POST', path, body);
  t.same(again.body, list.items[0]);
  t.equal(driver.leased.length, 1, 'it was signed once');
});

t.test('the database restarts: what is held is answered afterwards', async (t) => {
  driver.answers = false;
  const body = { kind: 'Hash', hash: 'cd'.repeat(32), externalId: 'database restarted' };
  const held = signedCall(application, account, 'POST', path, body);
  await until('it is with the driver', isLeased);
  await application.databases.stop();
  await application.databases.restart();
  driver.answers = true;
  const answer = await held;
  t.equal(answer.status, 200);
  t.equal(answer.body.status, 'Signed');
  t.same((await signedCall(application, account, 'POST', path, body)).body, answer.body);
});

t.test('the API process ends: the same request to another one gets the same signature', async (t) => {
  driver.answers = false;
  const body = { kind: 'Hash', hash: 'ef'.repeat(32), externalId: 'process ended' };
  await post(body);
  await until('it is with the driver', isLeased);
  const [, second] = servers;
  second?.server.closeAllConnections();
  const retried = signedCall(application, account, 'POST', path, body);
  driver.answers = true;
  const answer = await retried;
  t.equal(answer.body.status, 'Signed');
  const { body: list } = await call(application, account, 'GET', path);
  t.same(list.items[0], answer.body);
  t.equal(list.items.filter((one: { externalId?: string }) => one.externalId === 'process ended').length, 1);
});
