import { generateKeyPairSync, randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { parseEther, parseGwei, serializeTransaction } from 'viem';
import type { SignatureBody } from '../src/shared/chains/signature-body.ts';
import type { OutcomeResult } from '../src/shared/driver-protocol.ts';
import { requestId } from '../src/shared/keys.ts';
import { makeCaller, type TestKey, type TestWallet } from './support/caller.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { makeOperators } from './support/operators.ts';
import { pin } from './support/pinned.ts';
import { type Offer, openScriptedApi } from './support/scripted-api.ts';
import { keyStore, organisation, startSlotWorker } from './support/slot-worker.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/**
 * A signing API in an attacker's hands, on the real driver protocol over TLS, against a worker that enforces
 * authorisations: it has everything that callers ever signed, and obtains nothing that they did not.
 */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const operators = makeOperators(temporaryDirectory(t), ['alice', 'bob', 'carol'], 2);
const stateDirectory = temporaryDirectory(t);
const policy = {
  operators: operators.configuration,
  authorisation: { mode: 'enforce', maxAgeMs: 900_000 },
  stateDirectory,
} as const;
const worker = await startSlotWorker(t, { api, certificates, database: databases.driver, policy });
const { pool } = worker;

const caller = makeCaller();
const neighbour = makeCaller({ of: 'or-neighbour' });
const signer = makeCaller({ operations: ['Keys:Signatures:Create'] });
const retired = makeCaller();
const stranger = makeCaller();
const listed = [caller.listed, neighbour.listed, signer.listed, retired.listed];
await pin(pool, operators, keyStore, { version: 1, credentials: listed });
const listInForce = (version: number) =>
  until(`list ${version}`, () => worker.report().policy?.credentialList?.version === version);
await listInForce(1);

const ask = async (offer: Offer): Promise<OutcomeResult> => {
  api.offer(offer);
  return await api.outcome(offer.id);
};
const hash = (): SignatureBody => ({ kind: 'Hash', hash: randomBytes(32).toString('hex') });
const transfer = (to: `0x${string}`): SignatureBody => ({
  kind: 'Transaction',
  transaction: serializeTransaction({
    type: 'eip1559',
    chainId: 1,
    to,
    value: parseEther('1'),
    gas: 21_000n,
    maxFeePerGas: parseGwei('20'),
  }),
});
const friend = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
const thief = '0x000000000000000000000000000000000000dEaD';

const made = async (offer: Offer): Promise<TestKey> => {
  const result = await ask(offer);
  if (result.kind !== 'PublicKey') throw new Error(JSON.stringify(result));
  return { id: offer.id, publicKey: result.publicKey };
};
const key = await made(caller.newKey());
const wallet: TestWallet = caller.newWallet('Ethereum');
const walletKey = await made(wallet.offer);
const neighboursKey = await made(neighbour.newKey());
const retiredWallet = retired.newWallet('Ethereum');
const retiredWalletKey = await made(retiredWallet.offer);

/** Nothing comes out, and the journal holds nothing for it. */
async function obtainsNothing(t: Test, offer: Offer, why: RegExp, code = 'AUTHORISATION_REFUSED'): Promise<void> {
  const result = await ask(offer);
  t.match(result, { kind: 'Error', code, message: why }, String(why));
  const { rows } = await pool.query(
    'select 1 from journal where request_id = $1 union all select 1 from wrapped_key where request_id = $1',
    [offer.id],
  );
  t.equal(rows.length, 0);
}

t.test(
  'what callers authorised is carried out: keys, wallets, signatures of both, again on a second delivery',
  async (t) => {
    t.match(await ask(caller.sign(key, hash())), { kind: 'Signatures', publicKey: key.publicKey });
    t.match(await ask(caller.sign(walletKey, transfer(friend), wallet)), { kind: 'Signatures' });
    t.match(await ask(signer.sign(key, hash())), { kind: 'Signatures' }, 'another credential of the organisation');
    const offer = caller.sign(key, { ...hash(), externalId: 'order-1' });
    const first = await ask(offer);
    api.outcomes.delete(offer.id);
    api.redeliver(offer.id, { attempt: 2, lookUp: true });
    t.same(await api.outcome(offer.id), first);
  },
);

t.test('credentials of every kind that the API takes authorise', async (t) => {
  const pairs = [
    generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
    generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ];
  const callers = pairs.map((keys) => makeCaller({ keys }));
  await pin(pool, operators, keyStore, { version: 2, credentials: [...listed, ...callers.map((one) => one.listed)] });
  await listInForce(2);
  for (const one of callers) t.match(await ask(one.sign(key, hash())), { kind: 'Signatures' }, one.listed.publicKey);
});

t.test('swapped payloads: another transaction, another key, another path, another network', async (t) => {
  const honest = caller.sign(walletKey, transfer(friend), wallet);
  const swapped = caller.sign(walletKey, transfer(thief), wallet);
  const { authorisation } = honest;
  if (authorisation === undefined) throw new Error('it carries one');
  // The thief's digests with the caller's authorisation, and with the payload changed beside it.
  await obtainsNothing(t, { ...honest, digests: swapped.digests }, /digests are not those/);
  const payload = JSON.stringify(transfer(thief));
  await obtainsNothing(
    t,
    {
      ...caller.sign(walletKey, transfer(friend), wallet),
      digests: swapped.digests,
      authorisation: { ...authorisation, payload },
    },
    /signed another method, path or payload/,
  );
  await obtainsNothing(t, { ...caller.sign(key, hash()), keyId: walletKey.id }, /is for key .*, not /);
  const moved = caller.sign(key, hash());
  const path = `/keys/${walletKey.id}/signatures`;
  await obtainsNothing(
    t,
    { ...moved, keyId: walletKey.id, authorisation: { ...(moved.authorisation ?? authorisation), path } },
    /signed another method, path or payload/,
  );
  const elsewhere = { ...wallet.statement, payload: JSON.stringify({ network: 'KeyECDSA' }) };
  await obtainsNothing(
    t,
    { ...caller.sign(walletKey, transfer(friend), wallet), authorisation: { ...authorisation, wallet: elsewhere } },
    /wallet .*signed something else/,
  );
});

t.test('one wallet for another: its key, its statement, or none', async (t) => {
  const other = caller.newWallet('Ethereum');
  const otherKey = await made(other.offer);
  await obtainsNothing(t, { ...caller.sign(walletKey, transfer(friend), wallet), keyId: otherKey.id }, /is for key/);
  const offer = caller.sign(walletKey, transfer(friend), wallet);
  const { authorisation } = offer;
  if (authorisation === undefined) throw new Error('it carries one');
  await obtainsNothing(
    t,
    { ...offer, keyId: otherKey.id, authorisation: { ...authorisation, wallet: other.statement } },
    /another user action made it/,
  );
  const { wallet: _, ...without } = authorisation;
  await obtainsNothing(
    t,
    { ...caller.sign(walletKey, transfer(friend), wallet), authorisation: without },
    /the user action that made it is missing/,
  );
  // A wallet that no credential of the organisation made, with an id that fits.
  const forged = stranger.newWallet('Ethereum');
  const forgedWallet = { ...forged, offer: wallet.offer };
  const forgedKey = { id: forged.offer.keyId, publicKey: walletKey.publicKey };
  await obtainsNothing(t, { ...forged.offer }, /credential/, 'CREDENTIAL_NOT_PINNED');
  await obtainsNothing(t, caller.sign(forgedKey, transfer(friend), forgedWallet), /key/, 'KEY_NOT_IN_STORE');
});

t.test('replays: a second effect under another id, and a key made twice', async (t) => {
  const offer = caller.sign(key, hash());
  t.match(await ask(offer), { kind: 'Signatures' });
  await obtainsNothing(t, { ...offer, id: 'sig-aaaaa-bbbbb-cccccccccccccccc' }, /authorises another request/);
  const again = caller.newKey();
  await made(again);
  const id = 'key-aaaaa-bbbbb-cccccccccccccccc';
  await obtainsNothing(t, { ...again, id, keyId: id }, /authorises another request/);
  await obtainsNothing(t, { ...caller.newKey(), keyId: id }, /authorises another request/);
});

t.test(
  'an authorisation under its own id, but with what was signed before, gives what was signed before',
  async (t) => {
    const body = { ...hash(), externalId: 'order-2' };
    const offer = caller.sign(key, body);
    const first = await ask(offer);
    api.outcomes.delete(offer.id);
    // The same externalId for another hash: the caller signed both, one of them has its effect.
    const other = caller.sign(key, { ...hash(), externalId: 'order-2' });
    t.equal(other.id, offer.id);
    t.match(await ask(other), { kind: 'Error', code: 'REQUEST_CONFLICT' });
    t.match(first, { kind: 'Signatures' });
  },
);

t.test('authorisations that are too old, from the future, or good for ever', async (t) => {
  const at = (ms: number): Offer => {
    const { authorisation, userAction } = caller.authorise(
      '/keys',
      { scheme: 'ECDSA', curve: 'secp256k1' },
      Date.now() + ms,
    );
    return { ...caller.newKey(), authorisation, ...idsOf(userAction) };
  };
  await obtainsNothing(t, at(-901_000), /is 90\d s old; this node’s clock/, 'AUTHORISATION_EXPIRED');
  await obtainsNothing(t, at(120_000), /was made .* s from now/, 'AUTHORISATION_EXPIRED');
  await obtainsNothing(t, at(10 * 365 * 86_400_000), /was made .* s from now/, 'AUTHORISATION_EXPIRED');
  t.match(await ask(at(-800_000)), { kind: 'PublicKey' });
});

t.test('changed organisations: another’s key, another’s credential', async (t) => {
  await obtainsNothing(t, { ...caller.sign(neighboursKey, hash()), organisation: 'or-neighbour' }, /another request/);
  await obtainsNothing(t, caller.sign(neighboursKey, hash()), /key/, 'KEY_NOT_IN_STORE');
  const offer = caller.newKey();
  await obtainsNothing(t, { ...offer, organisation: 'or-neighbour' }, /authorises another request/);
  // With the id that the other organisation's request would have.
  const { authorisation, userAction } = caller.authorise('/keys', { scheme: 'ECDSA', curve: 'secp256k1' });
  const ids = idsOf(userAction, 'or-neighbour');
  const lent: Offer = { ...offer, organisation: 'or-neighbour', authorisation, ...ids };
  await obtainsNothing(t, lent, /credential .* of or-neighbour/, 'CREDENTIAL_NOT_PINNED');
});

t.test(
  'invented requests: none, garbage, a stranger’s, one beyond its rights, one with a forged signature',
  async (t) => {
    const { authorisation: _, ...bare } = caller.sign(key, hash());
    await obtainsNothing(t, bare, /carries no authorisation/);
    const { authorisation: __, ...bareKey } = caller.newKey();
    await obtainsNothing(t, bareKey, /carries no authorisation/);
    const offer = caller.sign(key, hash());
    const { authorisation } = offer;
    if (authorisation === undefined) throw new Error('it carries one');
    for (const payload of ['', '{', '[]', '{"kind":"Hash"}', 'null', '{"kind":"Dance"}'])
      await obtainsNothing(
        t,
        { ...caller.sign(key, hash()), authorisation: { ...authorisation, payload } },
        /not a signature request/,
      );
    for (const clientData of ['AA', 'bnVsbA', Buffer.from('{"type":"key.create"}').toString('base64url')]) {
      const fresh = caller.sign(key, hash());
      await obtainsNothing(
        t,
        { ...fresh, authorisation: { ...(fresh.authorisation ?? authorisation), clientData } },
        /another method/,
      );
    }
    await obtainsNothing(t, stranger.sign(key, hash()), /credential/, 'CREDENTIAL_NOT_PINNED');
    await obtainsNothing(t, signer.newKey(), /for Keys:Create/, 'CREDENTIAL_NOT_PINNED');
    const forged = caller.sign(key, hash());
    const signature = randomBytes(64).toString('base64url');
    await obtainsNothing(
      t,
      { ...forged, authorisation: { ...(forged.authorisation ?? authorisation), signature } },
      /is not by credential/,
    );
    const borrowed = signer.sign(key, hash());
    const credentialId = caller.listed.id;
    await obtainsNothing(
      t,
      { ...borrowed, authorisation: { ...(borrowed.authorisation ?? authorisation), credentialId } },
      /is not by credential/,
    );
    const wrongWay = caller.authorise('/keys', { scheme: 'EdDSA', curve: 'ed25519' });
    await obtainsNothing(
      t,
      { ...caller.newKey(), authorisation: wrongWay.authorisation, ...idsOf(wrongWay.userAction) },
      /another type of key/,
    );
    const elsewhere = caller.authorise('/keys', { scheme: 'ECDSA', curve: 'secp256k1', storeId: 'other' });
    await obtainsNothing(
      t,
      { ...caller.newKey(), authorisation: elsewhere.authorisation, ...idsOf(elsewhere.userAction) },
      /it is for other, and this one is/,
    );
    const permission = caller.authorise('/permissions', { name: 'x' });
    await obtainsNothing(
      t,
      { ...caller.newKey(), authorisation: permission.authorisation, ...idsOf(permission.userAction) },
      /no new key/,
    );
  },
);

t.test('lists: unsigned, by one operator, older, or another of the same version come not in force', async (t) => {
  const credentials = [...listed, stranger.listed];
  await pool.query('insert into credential_list (version, list, signed_order, node) values (90, $1, $2, $3)', [
    '{}',
    '{}',
    'x',
  ]);
  await pin(pool, operators, keyStore, { version: 91, credentials, by: ['alice'] });
  await pin(pool, makeOperators(temporaryDirectory(t), ['alice', 'bob'], 2), keyStore, { version: 92, credentials });
  await pin(pool, operators, 'other-store', { version: 93, credentials });
  await until(
    'the bad lists are seen',
    () => worker.log.filter(({ msg }) => msg === 'list of credentials is not good').length >= 4,
  );
  await obtainsNothing(t, stranger.sign(key, hash()), /credential/, 'CREDENTIAL_NOT_PINNED');
  t.equal(worker.report().policy?.credentialList?.version, 2, 'the good one stays in force');
  t.match(await ask(caller.sign(key, hash())), { kind: 'Signatures' });
});

t.test('a revoked credential authorises nothing, and the wallets that it made go on', async (t) => {
  const revoked = { ...retired.listed, operations: [] };
  await pin(pool, operators, keyStore, {
    version: 100,
    credentials: [caller.listed, neighbour.listed, signer.listed, revoked],
  });
  await listInForce(100);
  await obtainsNothing(t, retired.sign(key, hash()), /for Keys:Signatures:Create/, 'CREDENTIAL_NOT_PINNED');
  t.match(await ask(caller.sign(retiredWalletKey, transfer(friend), retiredWallet)), { kind: 'Signatures' });
});

t.test('an old list does not come back: not with its rows, not in another database, not after a restart', async (t) => {
  const emptied = await openTestDatabases(t);
  const other = await startSlotWorker(t, { api, certificates, database: emptied.driver, policy, node: 'node-2' });
  await pin(other.pool, operators, keyStore, { version: 1, credentials: [...listed, stranger.listed] });
  await pin(other.pool, operators, keyStore, { version: 100, credentials: [...listed, stranger.listed] });
  await until('the other list 100 is seen', () =>
    other.log.some(({ cause }) => /another list of this version was in force here/.test(String(cause))),
  );
  t.equal(other.report().policy?.credentialList, undefined, 'and without a good list nothing is authorised');
  await other.stop();
});

function idsOf(userAction: string, of = organisation): { id: string; keyId: string } {
  const id = requestId('key', of, { userAction });
  return { id, keyId: id };
}
