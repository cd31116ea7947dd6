import t from 'tap';
import { call, signedCall } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';

/** Who has stolen a driver's certificate may report bytes that are no signature: one request fails, and nothing else does. */
const application = await openLiveApplication(t);
const { account, driver } = application;
const { body: key } = await signedCall(application, account, 'POST', '/keys', { scheme: 'ECDSA', curve: 'secp256k1' });
const path = `/keys/${key.id}/signatures`;
const body = { kind: 'Bip322', message: '0x6869' };

t.test('bytes that are no signature fail their request, and lists that hold it go on', async (t) => {
  for (const rs of ['ff'.repeat(64), '00'.repeat(64)]) {
    driver.report = (request) =>
      request.kind === 'Sign'
        ? { kind: 'Signatures', publicKey: key.publicKey, signatures: [{ rs, recid: 0 }] }
        : undefined;
    const answer = await signedCall(application, account, 'POST', path, body);
    t.match(answer, { status: 200, body: { status: 'Failed', reason: /^SIGNATURE_INVALID: / } });
    driver.report = undefined;
    const one = await call(application, account, 'GET', `${path}/${answer.body.id}`);
    t.match(one, { status: 200, body: { status: 'Failed' } });
  }
  const good = await signedCall(application, account, 'POST', path, body);
  t.match(good, { status: 200, body: { status: 'Signed' } });
  const { status, body: list } = await call(application, account, 'GET', path);
  t.equal(status, 200);
  t.same(list.items.map((item: { status: string }) => item.status).sort(), ['Failed', 'Failed', 'Signed']);
});
