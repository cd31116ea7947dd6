import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import fc from 'fast-check';
import t from 'tap';
import { parseTransaction, serializeTransaction, type TransactionSerializable } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { digestsToSign, joinSignatures } from '../src/shared/chains/index.ts';
import type { SignatureBody } from '../src/shared/chains/signature-body.ts';
import { CodedError } from '../src/shared/errors.ts';
import { publicKeyOf, secp256k1Type, signWith } from './support/chain-signer.ts';

/** Properties that hold for any input, beside the published vectors of the other files. */
const privateKey = '46'.repeat(32);
const publicKey = publicKeyOf(privateKey);
const account = privateKeyToAccount(`0x${privateKey}`);
const halfOrder = secp256k1.Point.Fn.ORDER / 2n;

const bytes = (length: number) =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .map((value) => `0x${Buffer.from(value).toString('hex')}` as const);
const word = fc.bigInt(0n, 2n ** 128n);
const common = {
  nonce: fc.nat(),
  gas: fc.bigInt(0n, 2n ** 64n - 1n),
  to: bytes(20),
  value: word,
  data: fc.uint8Array({ maxLength: 300 }).map((value) => `0x${Buffer.from(value).toString('hex')}` as const),
};
const accessList = fc.array(fc.record({ address: bytes(20), storageKeys: fc.array(bytes(32), { maxLength: 2 }) }), {
  maxLength: 2,
});
const chainId = fc.integer({ min: 1 });
const fees = { maxFeePerGas: word.map((fee) => fee + 2n ** 128n), maxPriorityFeePerGas: word };
const transactions = fc.oneof(
  fc.record({ type: fc.constant('legacy'), ...common, gasPrice: word }),
  fc.record({ type: fc.constant('legacy'), ...common, gasPrice: word, chainId }),
  fc.record({ type: fc.constant('eip2930'), ...common, gasPrice: word, chainId, accessList }),
  fc.record({ type: fc.constant('eip1559'), ...common, ...fees, chainId, accessList }),
  fc.record({
    type: fc.constant('eip4844'),
    ...common,
    ...fees,
    chainId,
    accessList,
    maxFeePerBlobGas: word,
    blobVersionedHashes: fc.array(
      bytes(31).map((hash) => `0x01${hash.slice(2)}`),
      { minLength: 1, maxLength: 3 },
    ),
  }),
) as fc.Arbitrary<TransactionSerializable>;

const evmBody = (transaction: string): SignatureBody => ({ kind: 'Transaction', network: 'Ethereum', transaction });

t.test('any transaction comes back signed exactly as viem signs it', async (t) => {
  await fc.assert(
    fc.asyncProperty(transactions, async (transaction) => {
      const unsigned = serializeTransaction(transaction);
      const { digests, joined } = signWith(privateKey, evmBody(unsigned));
      t.same(digests[0], Buffer.from(keccak_256(Buffer.from(unsigned.slice(2), 'hex'))));
      t.equal(joined.signedData, await account.signTransaction(transaction));
    }),
    { numRuns: 100 },
  );
});

t.test('bytes that differ from a transaction are refused, or are another one that viem reads', async (t) => {
  const flip = fc.record({ at: fc.nat(), with: fc.integer({ min: 1, max: 255 }) });
  const outcomes = { refused: 0, read: 0 };
  await fc.assert(
    fc.property(transactions, flip, (transaction, { at, with: mask }) => {
      const changed = Buffer.from(serializeTransaction(transaction).slice(2), 'hex');
      changed[at % changed.length] = (changed[at % changed.length] as number) ^ mask;
      try {
        const [digest] = digestsToSign({
          type: secp256k1Type,
          publicKey,
          body: evmBody(changed.toString('hex')),
        }).digests;
        // Whatever is read is what is hashed, byte for byte, and is a transaction to others too.
        if (!digest?.equals(keccak_256(changed))) throw new Error('another digest than that of the bytes');
        parseTransaction(`0x${changed.toString('hex')}`);
        outcomes.read += 1;
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        outcomes.refused += 1;
      }
    }),
    { numRuns: 300 },
  );
  t.ok(outcomes.refused > 0 && outcomes.read > 0, JSON.stringify(outcomes));
});

t.test('r, s and recid have one form: full length, lower case, low s, and they recover to the key', async (t) => {
  await fc.assert(
    fc.property(bytes(32), fc.constantFrom('Ethereum', 'Bitcoin', undefined), (hash, network) => {
      const body: SignatureBody = { kind: 'Hash', hash, ...(network === undefined ? {} : { network }) };
      const { signature } = signWith(privateKey, body).joined;
      t.match(signature.r, /^0x[0-9a-f]{64}$/);
      t.match(signature.s, /^0x[0-9a-f]{64}$/);
      t.ok(BigInt(signature.s) <= halfOrder);
      const recovered = Buffer.concat([
        Buffer.from([signature.recid as number]),
        Buffer.from(signature.r.slice(2) + signature.s.slice(2), 'hex'),
      ]);
      const key = secp256k1.recoverPublicKey(recovered, Buffer.from(hash.slice(2), 'hex'), { prehash: false });
      t.equal(Buffer.from(key).toString('hex'), publicKey);
    }),
    { numRuns: 50 },
  );
});

t.test('DER is strict (BIP 66) for any r and s, also for those with leading zeros', async (t) => {
  const { format } = digestsToSign({
    type: secp256k1Type,
    publicKey,
    body: { kind: 'Hash', hash: '11'.repeat(32), blockchainKind: 'Bitcoin' },
  });
  const number = fc.oneof(
    fc.bigInt(1n, halfOrder),
    fc.bigInt(1n, 2n ** 64n),
    fc.integer({ min: 0, max: 254 }).map((bits) => 2n ** BigInt(bits)),
  );
  await fc.assert(
    fc.property(number, number, (r, s) => {
      const rs = [r, s].map((half) => half.toString(16).padStart(64, '0')).join('');
      const { signature } = joinSignatures(format, [{ rs, recid: 0 }], publicKey);
      const der = Buffer.from((signature.encoded ?? '').slice(2), 'hex');
      t.ok(isStrictDer(der), der.toString('hex'));
      t.equal(secp256k1.Signature.fromBytes(Uint8Array.from(der), 'der').toHex('compact'), rs);
    }),
    { numRuns: 200 },
  );
});

/** BIP 66's IsValidSignatureEncoding, without the sighash byte. */
function isStrictDer(der: Buffer): boolean {
  const rLength = der[3] ?? 0;
  const sLength = der[5 + rLength] ?? 0;
  const integer = (at: number, length: number) => {
    const first = der[at] ?? 0x80;
    const padded = length > 1 && first === 0 && ((der[at + 1] ?? 0) & 0x80) === 0;
    return der[at - 2] === 0x02 && length > 0 && (first & 0x80) === 0 && !padded;
  };
  return (
    der.length >= 8 &&
    der.length <= 72 &&
    der[0] === 0x30 &&
    der[1] === der.length - 2 &&
    rLength + sLength + 6 === der.length &&
    integer(4, rLength) &&
    integer(6 + rLength, sLength)
  );
}

t.test('random bytes of any kind give an answer or a refusal, never another error', async (t) => {
  const text = fc.uint8Array({ maxLength: 400 }).map((value) => Buffer.from(value).toString('hex'));
  const prefixed = text.map((value) => `70736274ff01${value}`);
  await fc.assert(
    fc.property(
      fc.oneof(text, prefixed),
      fc.constantFrom('Evm', 'Solana', 'Bitcoin', 'Tron'),
      (hex, blockchainKind) => {
        for (const body of [
          { kind: 'Transaction', transaction: hex },
          { kind: 'Psbt', psbt: hex },
          { kind: 'Message', message: hex },
          { kind: 'Bip322', message: hex },
          { kind: 'Eip191', message: hex },
        ]) {
          const type = blockchainKind === 'Solana' ? ({ scheme: 'EdDSA', curve: 'ed25519' } as const) : secp256k1Type;
          try {
            digestsToSign({ type, publicKey, body: { ...body, blockchainKind } as SignatureBody });
          } catch (error) {
            if (!(error instanceof CodedError)) throw error;
          }
        }
      },
    ),
    { numRuns: 300 },
  );
  t.pass('300 random ones');
});
