import { createPublicKey, verify } from 'node:crypto';
import t from 'tap';
import { digestsToSign, joinSignatures } from '../src/shared/chains/index.ts';
import { refuseUnsupportedSignature, type SignatureBody, signatureBody } from '../src/shared/chains/signature-body.ts';
import { CodedError } from '../src/shared/errors.ts';
import type { KeyType } from '../src/shared/keys.ts';

const ecdsa: KeyType = { scheme: 'ECDSA', curve: 'secp256k1' };
const eddsa: KeyType = { scheme: 'EdDSA', curve: 'ed25519' };
const hash = 'be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2';
const publicKey = '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c';

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return error instanceof CodedError ? error.code : String(error);
  }
  return undefined;
}

const refusal = (type: KeyType, body: SignatureBody) => codeOf(() => digestsToSign({ type, publicKey, body }));

t.test('a hash is signed as it is, with both schemes', async (t) => {
  for (const type of [ecdsa, eddsa]) {
    for (const text of [hash, `0x${hash}`, hash.toUpperCase()]) {
      const { digests, format } = digestsToSign({ type, publicKey, body: { kind: 'Hash', hash: text } });
      t.same(digests, [Buffer.from(hash, 'hex')]);
      t.equal(format, undefined);
    }
  }
});

t.test('a hash of another length than 32 bytes is refused', async (t) => {
  for (const text of ['', hash.slice(2), `${hash}00`]) {
    t.equal(refusal(ecdsa, { kind: 'Hash', hash: text }), 'DIGEST_INVALID');
    t.notOk(signatureBody.safeParse({ kind: 'Hash', hash: text }).success);
  }
});

t.test('a signature is written for a chain only where the request names the chain', async (t) => {
  const rs = `${'0a'.repeat(32)}${'0b'.repeat(32)}`;
  const plain = joinSignatures(undefined, [{ rs, recid: 0 }], publicKey);
  t.same(plain, { signature: { r: `0x${'0a'.repeat(32)}`, s: `0x${'0b'.repeat(32)}`, recid: 0 } });
  const { format } = digestsToSign({ type: ecdsa, publicKey, body: { kind: 'Hash', hash, network: 'Polygon' } });
  t.equal(joinSignatures(format, [{ rs, recid: 0 }], publicKey).signature.encoded, `0x${rs}1b`);
});

t.test('several signatures are all in the answer, the first one also alone', async (t) => {
  const signatures = ['01', '02', '03'].map((byte) => ({ rs: byte.repeat(64), recid: 1 as const }));
  const joined = joinSignatures(null, signatures, publicKey);
  t.equal(joined.signatures?.length, 3);
  t.same(joined.signature, joined.signatures?.[0]);
  t.throws(() => joinSignatures(null, [], publicKey));
});

t.test('RFC 8032, test 2: a message is signed as it is, and r and s are the halves of the signature', async (t) => {
  const { digests, format } = digestsToSign({ type: eddsa, publicKey, body: { kind: 'Message', message: '72' } });
  const rs =
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00';
  const { signature } = joinSignatures(format, [{ rs }], publicKey);
  t.same(signature, { r: `0x${rs.slice(0, 64)}`, s: `0x${rs.slice(64)}` });
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey, 'hex').toString('base64url') },
    format: 'jwk',
  });
  t.ok(verify(null, digests[0] as Buffer, key, Buffer.from(signature.r.slice(2) + signature.s.slice(2), 'hex')));
});

t.test('what does not fit the key or the chain is refused', async (t) => {
  const message = '00';
  t.equal(refusal(ecdsa, { kind: 'Message', message }), 'BAD_REQUEST', 'an ECDSA message without a chain');
  t.equal(refusal(eddsa, { kind: 'Eip191', message }), 'BAD_REQUEST', 'EIP-191 with an EdDSA key');
  t.equal(
    refusal(eddsa, { kind: 'Message', message, network: 'Ethereum' }),
    'BAD_REQUEST',
    'an EVM chain with an EdDSA key',
  );
  t.equal(refusal(ecdsa, { kind: 'Hash', hash, network: 'Solana' }), 'BAD_REQUEST', 'Solana with an ECDSA key');
  t.equal(refusal(eddsa, { kind: 'Message', message: '' }), 'BAD_REQUEST', 'an empty message, which no HSM signs');
  t.equal(
    refusal(eddsa, { kind: 'Message', message: '00'.repeat(16_001) }),
    'BAD_REQUEST',
    'a message that no driver takes',
  );
  t.equal(
    refusal(eddsa, { kind: 'Message', message, network: 'Tezos' }),
    'UNSUPPORTED',
    'a chain with its own message format',
  );
  t.equal(refusal(ecdsa, { kind: 'Transaction', transaction: '00' }), 'BAD_REQUEST', 'a transaction without a chain');
  t.equal(refusal(ecdsa, { kind: 'Transaction', transaction: '00', network: 'Bitcoin' }), 'UNSUPPORTED');
  t.equal(
    refusal(ecdsa, { kind: 'Hash', hash, network: 'Ethereum', blockchainKind: 'Tron' }),
    'BAD_REQUEST',
    'a contradiction',
  );
  t.equal(
    codeOf(() =>
      digestsToSign({ type: ecdsa, publicKey, body: { kind: 'Hash', hash, network: 'Tron' }, network: 'Ethereum' }),
    ),
    'BAD_REQUEST',
    'a contradiction to the wallet',
  );
});

t.test('kinds that only the Dfns API knows are called unsupported, others invalid', async (t) => {
  t.equal(
    codeOf(() => refuseUnsupportedSignature({ kind: 'SignDocDirect', signDoc: '00' })),
    'UNSUPPORTED',
  );
  t.equal(
    codeOf(() => refuseUnsupportedSignature({ kind: 'Hash', hash, taprootMerkleRoot: '' })),
    'UNSUPPORTED',
  );
  t.equal(
    codeOf(() => refuseUnsupportedSignature({ kind: 'Transaction', transaction: {} })),
    'UNSUPPORTED',
  );
  for (const body of [
    null,
    1,
    {},
    { kind: 'Nonsense' },
    { kind: 'Hash', hash, more: 1 },
    { kind: 'Hash', hash, network: 'Nowhere' },
  ]) {
    t.equal(
      codeOf(() => refuseUnsupportedSignature(body)),
      undefined,
    );
    t.notOk(signatureBody.safeParse(body).success, JSON.stringify(body));
  }
});
