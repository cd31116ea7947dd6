import { secp256k1 } from '@noble/curves/secp256k1.js';
import { Transaction } from 'bitcoinjs-lib';
import t from 'tap';
import { digestsToSign, joinSignatures } from '../src/shared/chains/index.ts';
import type { SignatureBody } from '../src/shared/chains/signature-body.ts';
import { refusalOf, secp256k1Type as type } from './support/chain-signer.ts';

/** The vectors of BIP 322, for its address bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l. */
const publicKey = '02c7f12003196442943d8588e01aee840423cc54fc1521526a3b85c2b0cbd58872';
const vectors = [
  {
    message: '',
    toSign: '1e9654e951a5ba44c8604c4de6c67fd78a27e81dcadcfe1edf638ba3aaebaed6',
    signatures: [
      'AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=',
      'AkgwRQIhAPkJ1Q4oYS0htvyuSFHLxRQpFAY56b70UvE7Dxazen0ZAiAtZfFz1S6T6I23MWI2lK/pcNTWncuyL8UL+oMdydVgzAEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy',
    ],
  },
  {
    message: 'Hello World',
    toSign: '88737ae86f2077145f93cc4b153ae9a1cb8d56afa511988c149c5c8c9d93bddf',
    signatures: [
      'AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=',
      'AkgwRQIhAOzyynlqt93lOKJr+wmmxIens//zPzl9tqIOua93wO6MAiBi5n5EyAcPScOjf1lAqIUIQtr3zKNeavYabHyR8eGhowEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy',
    ],
  },
];

const body = (message: string, more: object = {}): SignatureBody =>
  ({ kind: 'Bip322', message: `0x${Buffer.from(message).toString('hex')}`, ...more }) as SignatureBody;

/** The signature in a witness of two elements: DER and the sighash byte, then the public key. */
function signatureIn(witness: Buffer): { rs: string; recid: 0 } {
  const der = witness.subarray(2, 2 + (witness[1] as number) - 1);
  return { rs: secp256k1.Signature.fromBytes(Uint8Array.from(der), 'der').toHex('compact'), recid: 0 };
}

t.test('each published signature verifies, and comes back as it is published', async (t) => {
  for (const { message, signatures } of vectors) {
    const { digests, format } = digestsToSign({ type, publicKey, body: body(message), network: 'Bitcoin' });
    for (const published of signatures) {
      const witness = Buffer.from(published, 'base64');
      const signature = signatureIn(witness);
      const valid = secp256k1.verify(
        Buffer.from(signature.rs, 'hex'),
        digests[0] as Buffer,
        Buffer.from(publicKey, 'hex'),
        {
          prehash: false,
        },
      );
      t.ok(valid, published);
      const joined = joinSignatures(JSON.parse(JSON.stringify(format)), [signature], publicKey);
      t.equal(joined.signedData, `0x${witness.toString('hex')}`);
      t.equal(joined.signatures, undefined);
    }
  }
});

t.test('format Full answers the whole transaction', async (t) => {
  for (const { message, toSign, signatures } of vectors) {
    const { format } = digestsToSign({ type, publicKey, body: body(message, { format: 'Full' }) });
    const witness = Buffer.from(signatures[0] as string, 'base64');
    const { signedData } = joinSignatures(format, [signatureIn(witness)], publicKey);
    const transaction = Transaction.fromHex((signedData ?? '').slice(2));
    t.equal(transaction.getId(), toSign);
    t.same(
      Buffer.concat([
        Buffer.from([2]),
        ...(transaction.ins[0]?.witness ?? []).flatMap((part) => [Buffer.from([part.length]), part]),
      ]),
      witness,
    );
  }
});

t.test('other chains and keys are refused', async (t) => {
  const refusal = (more: object, key: object = {}) =>
    refusalOf(() => digestsToSign({ type, publicKey, body: body('x', more), ...key }));
  t.match(refusal({ network: 'Ethereum' }), { code: 'UNSUPPORTED', detail: /Bip322 for network Ethereum/ });
  t.match(refusal({}, { type: { scheme: 'EdDSA', curve: 'ed25519' } }), { code: 'BAD_REQUEST', detail: /secp256k1/ });
});
