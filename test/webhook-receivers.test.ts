import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { mayDeliverTo, requireReceiver } from '../src/api/webhooks/receivers.ts';
import { createWebhookSecrets } from '../src/api/webhooks/secrets.ts';
import { createWebhookSender } from '../src/api/webhooks/send.ts';
import { makeCertificates } from './support/certificates.ts';
import { openReceiver } from './support/webhook-receiver.ts';

t.test('addresses that are not public are refused, in every way to write them', async (t) => {
  const inside = [
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://10.1.2.3/',
    'https://172.31.255.255:8443/',
    'https://192.168.0.1/',
    'https://100.64.0.1/',
    'https://[::1]/',
    'https://[fd00::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:a00:1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
  ];
  for (const url of inside) {
    t.throws(() => requireReceiver(url, false), { code: 'WEBHOOK_URL_REFUSED' }, url);
    t.doesNotThrow(() => requireReceiver(url, true), `${url} where the configuration allows it`);
  }
  for (const url of [
    'https://169.254.169.254/latest/meta-data',
    'https://0.0.0.0/',
    'https://[fe80::1]/',
    'https://224.0.0.1/',
    'https://[ff02::1]/',
    'https://255.255.255.255/',
  ])
    for (const allowed of [false, true])
      t.throws(() => requireReceiver(url, allowed), { code: 'WEBHOOK_URL_REFUSED' }, url);
  for (const url of ['https://example.com/hook?x=1', 'https://8.8.8.8:8443/', 'https://[2606:4700::1111]/'])
    t.doesNotThrow(() => requireReceiver(url, false), url);
});

t.test('only https is taken, and http to loopback where the configuration allows it', async (t) => {
  for (const url of [
    'http://example.com/',
    'http://127.0.0.1/',
    'http://localhost/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'x',
    '',
    'https://user:secret@example.com/',
  ])
    t.throws(() => requireReceiver(url, false), { code: 'WEBHOOK_URL_REFUSED' }, url);
  for (const url of ['http://example.com/', 'http://10.0.0.1/'])
    t.throws(() => requireReceiver(url, true), { code: 'WEBHOOK_URL_REFUSED' }, url);
  for (const url of ['http://127.0.0.1:1/', 'http://localhost:1/', 'http://[::1]/'])
    t.doesNotThrow(() => requireReceiver(url, true), url);
  t.equal(mayDeliverTo('no address', true), false);
});

t.test('a name is looked up when it is used, and the address checked then', async (t) => {
  const receiver = await openReceiver(t);
  const careful = createWebhookSender({ privateAddresses: false });
  t.teardown(() => careful.close());
  const byName = receiver.url.replace('http://127.0.0.1', 'https://localhost');
  t.same(await careful.send(byName, '{}', {}), { error: 'its address is not a public one' });
  t.same(receiver.received, []);
  t.match(await careful.send(receiver.url, '{}', {}), { error: /WEBHOOK_URL_REFUSED|cannot be delivered/ });
});

t.test('a redirect is not followed, and a certificate of an unknown CA ends the delivery', async (t) => {
  const receiver = await openReceiver(t);
  const sender = createWebhookSender({ privateAddresses: true });
  t.teardown(() => sender.close());
  receiver.status = () => 302;
  t.same(await sender.send(receiver.url, '{}', {}), { status: 302 });
  t.equal(receiver.received.length, 1);

  const { server: pair } = await makeCertificates(t);
  const options = { cert: readFileSync(pair.certificateFile), key: readFileSync(pair.privateKeyFile) };
  const secure = createServer(options, (_request, response) => response.end());
  await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
  t.teardown(() => secure.close());
  const delivery = await sender.send(`https://localhost:${(secure.address() as AddressInfo).port}/`, '{}', {});
  t.match(delivery, { error: /CERT|SIGNATURE|ISSUER/ });
});

t.test('a receiver that answers without end is cut off', async (t) => {
  const receiver = await openReceiver(t);
  const sender = createWebhookSender({ privateAddresses: true });
  t.teardown(() => sender.close());
  receiver.answer = (response) => {
    response.writeHead(200);
    const more = (error?: Error | null): void => {
      if (!error && !response.destroyed) response.write('x'.repeat(65_536), more);
    };
    more();
  };
  await sender.send(receiver.url, '{}', {});
  t.pass('it ended');
});

t.test('a webhook’s secret opens only for its webhook, under the same file, unchanged', async (t) => {
  const secrets = createWebhookSecrets(Buffer.alloc(32, 1));
  const { secret, sealed } = secrets.create('wh-1');
  t.equal(secrets.open('wh-1', sealed), secret);
  t.notOk(sealed.includes(Buffer.from(secret)));
  t.throws(() => secrets.open('wh-2', sealed));
  t.throws(() => createWebhookSecrets(Buffer.alloc(32, 2)).open('wh-1', sealed));
  for (const at of [0, 12, 28]) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] ?? 0) ^ 1;
    t.throws(() => secrets.open('wh-1', changed), `byte ${at}`);
  }
  t.throws(() => secrets.open('wh-1', sealed.subarray(0, 20)));
});
