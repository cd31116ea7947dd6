import t from 'tap';
import { call, signedCall } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';
import { until } from './support/until.ts';
import { openReceiver, signatureOf } from './support/webhook-receiver.ts';

const receiver = await openReceiver(t);
const application = await openLiveApplication(t, {
  processes: 3,
  configuration: { webhooks: { privateAddresses: true } },
});
const { account, driver, pool } = application;
const key = { scheme: 'ECDSA', curve: 'secp256k1' };

t.beforeEach(() => {
  driver.report = undefined;
  receiver.status = () => 200;
});

function post(path: string, body: unknown, by = account) {
  return signedCall(application, by, 'POST', path, body);
}

/** At a path of its own, so that a test sees its own deliveries only. */
async function webhook(path: string, events: string[], by = account) {
  const { status, body } = await post('/webhooks', { url: receiver.url + path, events, description: 'é' }, by);
  if (status !== 200) throw new Error(body.message);
  return body;
}

function deliveries(path: string) {
  return receiver.received.filter((one) => one.path === path);
}

/** The next attempt of what was not delivered is due now, as it would be after the pause. */
async function becomeDue(): Promise<void> {
  await pool.query('update webhook_event set next_attempt_at = now() where next_attempt_at is not null');
}

t.test(
  'what happens to keys, wallets and signatures is delivered, authenticated by the webhook’s secret',
  async (t) => {
    const { secret } = await webhook('/all', ['*']);
    const { body: wallet } = await post('/wallets', { network: 'Ethereum' });
    const { body: signature } = await post(`/wallets/${wallet.id}/signatures`, { kind: 'Hash', hash: 'ab'.repeat(32) });
    driver.report = () => ({ kind: 'Error', code: 'KEY_UNUSABLE', message: 'no', retryable: false });
    const { body: failed } = await post(`/wallets/${wallet.id}/signatures`, { kind: 'Hash', hash: 'cd'.repeat(32) });
    const { body: archived } = await signedCall(application, account, 'DELETE', `/keys/${wallet.signingKey.id}`, {});

    const got = await until('seven events', () => deliveries('/all').length >= 7 && deliveries('/all'));
    const of = (kind: string) => got.filter(({ event }) => event.kind === kind).map(({ event }) => event.data);
    t.same(of('wallet.created').length, 1);
    t.match(of('wallet.created')[0].wallet, { id: wallet.id, address: wallet.address });
    t.match(of('key.created')[0].key, { id: wallet.signingKey.id, publicKey: wallet.signingKey.publicKey });
    const requested = of('wallet.signature.requested').map((data) => data.signatureRequest);
    t.same(requested.map((one) => one.id).sort(), [signature.id, failed.id].sort());
    t.ok(requested.every((one) => one.status === 'Executing' && !('signature' in one)));
    t.same(of('wallet.signature.signed'), [{ signatureRequest: signature }]);
    t.same(of('wallet.signature.failed'), [{ signatureRequest: failed }]);
    t.same(of('key.deleted'), [{ key: archived }]);
    for (const { headers, body, event } of got) {
      t.equal(headers['x-dfns-webhook-signature'], signatureOf(secret, body));
      t.match(event, { id: /^whe-[a-z0-9]{5}-[a-z0-9]{5}-[a-z0-9]{16}$/, date: /Z$/, deliveryAttempt: 1 });
      t.ok(Math.abs(event.timestampSent - Date.now() / 1000) < 60);
    }
    t.equal(new Set(got.map(({ event }) => event.id)).size, 7, 'each once, although three processes deliver');
  },
);

t.test('a webhook gets the kinds that it wants, of its own organisation, while it is enabled', async (t) => {
  const other = await application.newAccount();
  const made = await webhook('/keys-only', ['key.created']);
  await webhook('/other', ['*'], other);
  await post('/wallets', { network: 'Ethereum' });
  await until('one event', () => deliveries('/keys-only').length === 1);
  await signedCall(application, account, 'PUT', `/webhooks/${made.id}`, { status: 'Disabled' });
  await post('/keys', key);
  await post('/keys', key, other);
  await until('the other’s event', () => deliveries('/other').length === 1);
  t.equal(deliveries('/keys-only').length, 1);
  t.same(
    deliveries('/other').map(({ event }) => event.kind),
    ['key.created'],
  );
});

t.test('only 200 counts as delivered, there are five attempts, and each is made once', async (t) => {
  receiver.status = (path) => (path === '/down' ? 307 : 200);
  const made = await webhook('/down', ['key.created']);
  const { body } = await post('/keys', key);
  const path = `/webhooks/${made.id}/events`;
  const pauses: number[] = [];
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    await until(`attempt ${attempt} is recorded`, async () => {
      const { rows } = await pool.query<{ attempts: number; pause: number | null }>(
        `select attempts, extract(epoch from next_attempt_at - sent_at)::int as pause
         from webhook_event where webhook = $1 and http_status = 307`,
        [made.id],
      );
      if (rows[0]?.attempts !== attempt) return false;
      if (rows[0].pause !== null) pauses.push(rows[0].pause);
      return true;
    });
    await becomeDue();
  }
  t.same(pauses, [60, 720, 7_200, 86_400], 'a minute, 12 minutes, two hours, a day');
  const sent = deliveries('/down').map(({ event }) => event);
  t.same(
    sent.map((event) => event.deliveryAttempt),
    [1, 2, 3, 4, 5],
  );
  t.equal(new Set(sent.map((event) => event.id)).size, 1);
  t.same(
    sent.map((event) => event.retryOf),
    [undefined, ...Array(4).fill(sent[0].id)],
  );

  const { body: list } = await call(application, account, 'GET', `${path}?deliveryFailed=true`);
  t.match(list.items, [
    {
      id: sent[0].id,
      kind: 'key.created',
      status: '307',
      error: 'the receiver answered 307',
      data: { key: { id: body.id } },
    },
  ]);
  t.same((await call(application, account, 'GET', `${path}/${sent[0].id}`)).body, list.items[0]);
  t.same((await call(application, account, 'GET', `${path}?deliveryFailed=false`)).body.items, []);
  t.same((await call(application, account, 'GET', `${path}?kind=wallet.created`)).body.items, []);
});

t.test('an event that was not delivered is delivered when the receiver is back', async (t) => {
  receiver.status = (path) => (path === '/away' ? 503 : 200);
  const made = await webhook('/away', ['key.created']);
  await post('/keys', key);
  await until('the first attempt', () => deliveries('/away').length === 1);
  receiver.status = () => 200;
  await until('delivered', async () => {
    await becomeDue();
    const { body } = await call(application, account, 'GET', `/webhooks/${made.id}/events`);
    return body.items[0].status === '200' && !('error' in body.items[0]);
  });
  const attempts = deliveries('/away').length;
  const { rows } = await pool.query('select 1 from webhook_event where webhook = $1 and next_attempt_at is not null', [
    made.id,
  ]);
  t.same(rows, []);
  t.equal(deliveries('/away').length, attempts);
});

t.test('a ping tells at once how the receiver answers', async (t) => {
  const made = await webhook('/ping', ['key.created']);
  const ping = () => post(`/webhooks/${made.id}/ping`, {});
  t.same((await ping()).body, { status: '200' });
  t.match(deliveries('/ping')[0], { event: { kind: 'ping', data: {} } });
  t.equal(
    deliveries('/ping')[0]?.headers['x-dfns-webhook-signature'],
    signatureOf(made.secret, deliveries('/ping')[0]?.body ?? ''),
  );
  receiver.status = () => 404;
  t.same((await ping()).body, { status: '404' });
  await signedCall(application, account, 'PUT', `/webhooks/${made.id}`, { url: 'http://127.0.0.1:1/' });
  t.same((await ping()).body, { status: '0', error: 'ECONNREFUSED' });
});

t.test('webhooks are listed, changed and deleted, their secret shown once and never stored in the clear', async (t) => {
  const made = await webhook('/crud', ['key.created']);
  t.match(made, { id: /^wh-/, status: 'Enabled', description: 'é', events: ['key.created'], secret: /^[\w-]{43}$/ });
  const { secret, ...shown } = made;
  const path = `/webhooks/${made.id}`;
  t.same((await call(application, account, 'GET', path)).body, shown);
  const { body: list } = await call(application, account, 'GET', '/webhooks?limit=1');
  t.same(list.items, [shown]);
  t.type(list.nextPageToken, 'string');
  const changed = await signedCall(application, account, 'PUT', path, { events: ['*'], status: 'Disabled' });
  t.match(changed.body, { events: ['*'], status: 'Disabled', url: made.url });
  const { rows } = await pool.query<{ row: string }>('select w::text as row from webhook w');
  t.notMatch(JSON.stringify(rows), secret);
  t.notMatch(JSON.stringify(rows), Buffer.from(secret).toString('hex'));

  const other = await application.newAccount();
  t.equal((await call(application, other, 'GET', path)).status, 404);
  t.equal((await signedCall(application, other, 'DELETE', path, {})).status, 404);
  t.same((await signedCall(application, account, 'DELETE', path, {})).body, { deleted: true });
  t.equal((await call(application, account, 'GET', path)).status, 404);
});

t.test('an event of a key whose row was changed tells nothing of it', async (t) => {
  receiver.status = (path) => (path === '/tampered' ? 500 : 200);
  const made = await webhook('/tampered', ['key.created']);
  const { body } = await post('/keys', key);
  await until('the first attempt', () => deliveries('/tampered').length === 1);
  await application.ownerQuery('update key set public_key = $2 where id = $1', [body.id, `02${'ef'.repeat(32)}`]);
  await until('the second attempt', async () => {
    await becomeDue();
    const { rows } = await pool.query<{ error: string }>('select error from webhook_event where webhook = $1', [
      made.id,
    ]);
    return rows[0]?.error === 'ATTESTATION_INVALID';
  });
  t.equal(receiver.received.filter(({ body: sent }) => sent.includes('ef'.repeat(32))).length, 0);
});
