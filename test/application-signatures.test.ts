import { secp256k1 } from '@noble/curves/secp256k1.js';
import t from 'tap';
import { recoverMessageAddress, recoverTransactionAddress, serializeTransaction } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import type { NewRequest, RequestRow } from '../src/api/queue/request.ts';
import { CodedError } from '../src/shared/errors.ts';
import { requestId } from '../src/shared/keys.ts';
import { call, openApplication, signedCall, userAction } from './support/application.ts';

const application = await openApplication(t);
const { account, queue } = application;
const privateKey = Buffer.alloc(32, 0x46);
const { address } = privateKeyToAccount(`0x${privateKey.toString('hex')}`);
const keyId = 'key-aaaaa-bbbbb-cccccccccccccccc';
const path = `/keys/${keyId}/signatures`;
const hash = `0x${'be'.repeat(32)}`;
await application.addKey(
  account.orgId,
  keyId,
  { scheme: 'ECDSA', curve: 'secp256k1' },
  Buffer.from(secp256k1.getPublicKey(privateKey)).toString('hex'),
);

/** What a driver and its HSM would do. */
function signedBy(request: NewRequest): Partial<RequestRow> {
  const signatures = (request.digests ?? []).map((digest) => {
    const signed = secp256k1.sign(digest, privateKey, { prehash: false, format: 'recovered' });
    return { recid: signed[0] as 0 | 1, rs: Buffer.from(signed.subarray(1)).toString('hex') };
  });
  return { state: 'signed', signatures, doneAt: new Date() };
}

t.beforeEach(() => {
  queue.submitted.length = 0;
  queue.refuse = undefined;
  queue.outcome = signedBy;
});

t.test('a signed hash is answered in full, and GET answers the same', async (t) => {
  const body = { kind: 'Hash', hash };
  const answer = await signedCall(application, account, 'POST', path, body);
  t.equal(answer.status, 200);
  t.match(answer.body, {
    id: /^sig-[a-z0-9]{5}-[a-z0-9]{5}-[a-z0-9]{16}$/,
    keyId,
    requester: { userId: account.userId, tokenId: account.tokenId },
    requestBody: body,
    status: 'Signed',
    signature: { r: /^0x[0-9a-f]{64}$/, s: /^0x[0-9a-f]{64}$/, recid: /^[01]$/ },
    dateRequested: /Z$/,
    dateSigned: /Z$/,
  });
  t.same(Object.keys(answer.body).sort(), [
    'dateRequested',
    'dateSigned',
    'id',
    'keyId',
    'requestBody',
    'requester',
    'signature',
    'status',
  ]);
  t.same((await call(application, account, 'GET', `${path}/${answer.body.id}`)).body, answer.body);
});

t.test('transactions and messages for a chain come back so that others accept them', async (t) => {
  const unsigned = serializeTransaction({ chainId: 1, maxFeePerGas: 2n, gas: 21_000n, to: address, value: 1n });
  const transaction = await signedCall(application, account, 'POST', path, {
    kind: 'Transaction',
    blockchainKind: 'Evm',
    transaction: unsigned,
  });
  t.equal(await recoverTransactionAddress({ serializedTransaction: transaction.body.signedData }), address);
  t.same(
    (await call(application, account, 'GET', `${path}/${transaction.body.id}`)).body,
    transaction.body,
    'from the row alone',
  );
  const message = await signedCall(application, account, 'POST', path, {
    kind: 'Message',
    network: 'EthereumSepolia',
    message: '0x68656c6c6f',
  });
  t.equal(message.body.network, 'EthereumSepolia');
  t.equal(await recoverMessageAddress({ message: 'hello', signature: message.body.signature.encoded }), address);
});

t.test('the queue gets digests, format and what the caller’s credential signed', async (t) => {
  const body = { kind: 'Hash', hash, externalId: 'order 7', network: 'Ethereum' };
  await signedCall(application, account, 'POST', path, body);
  t.match(queue.submitted, [
    {
      kind: 'Sign',
      id: requestId('sig', account.orgId, { externalId: 'order 7' }),
      keyId,
      externalId: 'order 7',
      network: 'Ethereum',
      digests: [Buffer.alloc(32, 0xbe)],
      format: { join: 'Evm' },
      body,
      authorisation: { method: 'POST', path, payload: JSON.stringify(body) },
    },
  ]);
});

t.test('the same request with the same externalId is one signature', async (t) => {
  const body = { kind: 'Hash', hash, externalId: 'same' };
  const first = await signedCall(application, account, 'POST', path, body);
  const reordered = { externalId: 'same', hash, kind: 'Hash' };
  const second = await signedCall(application, account, 'POST', path, reordered);
  t.equal(second.status, 200);
  t.same(second.body, first.body);
  queue.refuse = new CodedError('NO_SIGNER_READY', 'no slot');
  t.same((await signedCall(application, account, 'POST', path, body)).body, first.body, 'also while no HSM is ready');
  t.equal(queue.submitted.length, 1);
});

t.test('requests that are refused for one reason are one line of the log, not one each', async (t) => {
  queue.refuse = new CodedError('NO_SIGNER_READY', 'for the log');
  for (let times = 0; times < 5; times++)
    t.equal((await signedCall(application, account, 'POST', path, { kind: 'Hash', hash })).status, 503);
  const told = application.log.filter(({ error }) => error === 'for the log');
  t.match(told, [{ msg: 'request refused', code: 'NO_SIGNER_READY' }]);
  t.equal(told.length, 1);
});

t.test('another request with the same externalId is a conflict that names the first', async (t) => {
  const first = await signedCall(application, account, 'POST', path, { kind: 'Hash', hash, externalId: 'taken' });
  const otherKey = 'key-aaaaa-bbbbb-dddddddddddddddd';
  await application.addKey(account.orgId, otherKey, { scheme: 'ECDSA', curve: 'secp256k1' }, `02${'11'.repeat(32)}`);
  const others: [string, object][] = [
    [path, { kind: 'Hash', hash: `0x${'00'.repeat(32)}`, externalId: 'taken' }],
    [path, { kind: 'Hash', hash, externalId: 'taken', network: 'Ethereum' }],
    [`/keys/${otherKey}/signatures`, { kind: 'Hash', hash, externalId: 'taken' }],
  ];
  for (const [where, body] of others) {
    const answer = await signedCall(application, account, 'POST', where, body);
    t.equal(answer.status, 409);
    t.match(answer.body, {
      error: {
        message: 'Conflicting request with same externalId',
        details: { duplicate: { id: first.body.id, externalId: 'taken' } },
      },
    });
  }
});

t.test('without externalId a user action signs once', async (t) => {
  const payload = JSON.stringify({ kind: 'Hash', hash });
  const headers = { 'x-dfns-useraction': await userAction(application, account, 'POST', path, payload) };
  t.equal((await call(application, account, 'POST', path, payload, headers)).status, 200);
  const again = await call(application, account, 'POST', path, payload, headers);
  t.equal(again.status, 400);
  t.equal(again.body.message, 'user action has already been used');
});

t.test(
  'a signature that takes longer than the hold is Executing, one that failed says why, both with status 200',
  async (t) => {
    queue.outcome = () => ({ state: 'leased' });
    const executing = await signedCall(application, account, 'POST', path, { kind: 'Hash', hash });
    t.equal(executing.status, 200);
    t.equal(executing.body.status, 'Executing');
    t.equal(executing.body.signature, undefined);
    for (const [error, reason] of [
      [{ errorCode: 'EXPIRED', errorMessage: 'expired' }, /expired/],
      [{ errorCode: 'KEY_UNUSABLE', errorMessage: 'row 7' }, /^KEY_UNUSABLE: /],
    ] as const) {
      queue.outcome = () => ({ state: 'failed', ...error });
      const failed = await signedCall(application, account, 'POST', path, { kind: 'Hash', hash });
      t.equal(failed.status, 200);
      t.match(failed.body, { status: 'Failed', reason });
    }
  },
);

t.test('keys and signatures of others do not exist', async (t) => {
  const { body } = await signedCall(application, account, 'POST', path, { kind: 'Hash', hash });
  const stranger = await application.newAccount();
  const strange = await signedCall(application, stranger, 'POST', path, { kind: 'Hash', hash });
  t.equal(strange.status, 404);
  t.equal((await call(application, stranger, 'GET', `${path}/${body.id}`)).status, 404);
  t.equal((await call(application, account, 'GET', `/keys/key-other/signatures/${body.id}`)).status, 404);
  t.equal((await call(application, account, 'GET', `${path}/sig-other`)).status, 404);
  t.equal(
    (await signedCall(application, account, 'POST', '/keys/key-other/signatures', { kind: 'Hash', hash })).status,
    404,
  );
});

t.test('what cannot be signed is refused before anything is stored', async (t) => {
  for (const body of [
    { kind: 'Hash', hash: '0xbe' },
    { kind: 'Hash', hash, more: 1 },
    { kind: 'Hash', hash, externalId: '' },
    { kind: 'Hash', hash, externalId: 'x'.repeat(51) },
    { kind: 'Hash', hash, network: 'Nowhere' },
    { kind: 'Message', message: '00' },
    { kind: 'Transaction', transaction: '00', network: 'Ethereum' },
    { kind: 'Psbt', psbt: '00' },
    { kind: 'Nonsense' },
  ]) {
    const answer = await signedCall(application, account, 'POST', path, body);
    t.equal(answer.status, 400, JSON.stringify(body));
  }
  await application.pool.query("update key set status = 'Archived' where id = $1", [keyId]);
  const archived = await signedCall(application, account, 'POST', path, { kind: 'Hash', hash });
  t.match(archived, { status: 400, body: { message: /archived/ } });
  t.same(queue.submitted, []);
});
