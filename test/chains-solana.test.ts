import { sign as ed25519Sign, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import {
  Keypair,
  PublicKey,
  SystemProgram,
  Transaction,
  TransactionMessage,
  VersionedTransaction,
} from '@solana/web3.js';
import t from 'tap';
import { digestsToSign, joinSignatures } from '../src/shared/chains/index.ts';
import type { SignatureBody } from '../src/shared/chains/signature-body.ts';
import { CodedError } from '../src/shared/errors.ts';

const type = { scheme: 'EdDSA', curve: 'ed25519' } as const;
const recentBlockhash = '4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAn';

interface Wallet {
  readonly privateKey: KeyObject;
  readonly publicKey: string;
  readonly address: PublicKey;
}

function wallet(): Wallet {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return { privateKey, publicKey: raw.toString('hex'), address: new PublicKey(raw) };
}

const body = (transaction: Uint8Array, more: Partial<SignatureBody> = {}): SignatureBody =>
  ({
    kind: 'Transaction',
    network: 'SolanaDevnet',
    transaction: `0x${Buffer.from(transaction).toString('hex')}`,
    ...more,
  }) as SignatureBody;

function sign(transaction: Uint8Array, signer: Wallet): Buffer {
  const { digests, format } = digestsToSign({ type, publicKey: signer.publicKey, body: body(transaction) });
  const signature = ed25519Sign(null, digests[0] as Buffer, signer.privateKey).toString('hex');
  const joined = joinSignatures(JSON.parse(JSON.stringify(format)), [{ rs: signature }], signer.publicKey);
  t.equal(joined.signature.encoded, `0x${signature}`);
  t.equal(joined.signature.recid, undefined);
  return Buffer.from((joined.signedData ?? '').slice(2), 'hex');
}

function refusal(transaction: Uint8Array, signer: Wallet): { code?: string; detail?: string } {
  try {
    digestsToSign({ type, publicKey: signer.publicKey, body: body(transaction) });
  } catch (error) {
    if (error instanceof CodedError) return { code: error.code, detail: error.detail };
    throw error;
  }
  return {};
}

function legacyTransaction(payer: PublicKey, from: PublicKey): Transaction {
  return new Transaction({ feePayer: payer, recentBlockhash }).add(
    SystemProgram.transfer({ fromPubkey: from, toPubkey: Keypair.generate().publicKey, lamports: 49 }),
  );
}

t.test('the wire transaction of the Solana web3.js tests: its message part is what its signature signs', async (t) => {
  const wire = Buffer.from(
    'AVuErQHaXv0SG0/PchunfxHKt8wMRfMZzqV0tkC5qO6owYxWU2v871AoWywGoFQr4z+q/7mE8lIufNl/kxj+nQ0BAAEDE5j2LG0aRXxRumpLXz29L2n8qTIWIY3ImX5Ba9F9k8r9Q5/Mtmcn8onFxt47xKj+XdXXd3C8j/FcPu7csUrz/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAxJrndgN4IFTxep3s6kO0ROug7bEsbx0xxuDkqEvwUusBAgIAAQwCAAAAMQAAAAAAAAA=',
    'base64',
  );
  const publicKey = '1398f62c6d1a457c51ba6a4b5f3dbd2f69fca93216218dc8997e416bd17d93ca';
  const unsigned = Buffer.from(wire).fill(0, 1, 65);
  const { digests, format } = digestsToSign({ type, publicKey, body: body(unsigned) });
  const key = {
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey, 'hex').toString('base64url') },
    format: 'jwk',
  } as const;
  t.ok(verify(null, digests[0] as Buffer, key, wire.subarray(1, 65)));
  const joined = joinSignatures(format, [{ rs: wire.toString('hex', 1, 65) }], publicKey);
  t.equal(joined.signedData, `0x${wire.toString('hex')}`);
});

t.test('a legacy transaction comes back with a signature that web3.js accepts', async (t) => {
  const signer = wallet();
  const unsigned = legacyTransaction(signer.address, signer.address).serialize({
    requireAllSignatures: false,
    verifySignatures: false,
  });
  t.ok(Transaction.from(sign(unsigned, signer)).verifySignatures());
});

t.test('a version 0 transaction comes back with a signature over its message', async (t) => {
  const signer = wallet();
  const message = new TransactionMessage({
    payerKey: signer.address,
    recentBlockhash,
    instructions: legacyTransaction(signer.address, signer.address).instructions,
  }).compileToV0Message();
  const signed = VersionedTransaction.deserialize(sign(new VersionedTransaction(message).serialize(), signer));
  t.equal(signed.version, 0);
  t.ok(verify(null, signed.message.serialize(), signer.privateKey, signed.signatures[0] as Uint8Array));
});

t.test('with several signers each signature gets its own place and the others stay', async (t) => {
  const payer = wallet();
  const sender = wallet();
  const transaction = legacyTransaction(payer.address, sender.address);
  const unsigned = transaction.serialize({ requireAllSignatures: false, verifySignatures: false });
  const half = sign(unsigned, sender);
  t.notOk(Transaction.from(half).verifySignatures(), 'the payer has not signed');
  t.ok(Transaction.from(sign(half, payer)).verifySignatures());
});

t.test('a key that is no signer of the transaction is refused', async (t) => {
  const signer = wallet();
  const unsigned = legacyTransaction(signer.address, signer.address).serialize({
    requireAllSignatures: false,
    verifySignatures: false,
  });
  t.match(refusal(unsigned, wallet()), { code: 'BAD_REQUEST', detail: /not a signer/ });
});

t.test('what is no transaction is refused', async (t) => {
  const signer = wallet();
  const good = legacyTransaction(signer.address, signer.address).serialize({
    requireAllSignatures: false,
    verifySignatures: false,
  });
  const patched = (change: (bytes: Buffer) => Uint8Array) => change(Buffer.from(good));
  const wrong: Record<string, Uint8Array> = {
    empty: Buffer.alloc(0),
    'one byte': Buffer.from([1]),
    'cut within the signatures': good.subarray(0, 40),
    'cut within the header': good.subarray(0, 66),
    'cut within the addresses': good.subarray(0, 90),
    'another number of signatures than signers': patched((bytes) => bytes.fill(2, 0, 1)),
    'no signatures': Buffer.concat([Buffer.from([0]), good.subarray(65)]),
    'a count in a longer form': Buffer.concat([Buffer.from([0x81, 0x00]), good.subarray(1)]),
    'version 1': patched((bytes) => Buffer.concat([bytes.subarray(0, 65), Buffer.from([0x81]), bytes.subarray(65)])),
    'longer than a packet': Buffer.concat([good, Buffer.alloc(1232)]),
  };
  for (const [name, transaction] of Object.entries(wrong))
    t.equal(refusal(transaction, signer).code, 'BAD_REQUEST', name);
});
