import { ed25519 } from '@noble/curves/ed25519.js';
import {
  Keypair,
  PublicKey,
  SystemProgram,
  Transaction,
  TransactionMessage,
  VersionedTransaction,
} from '@solana/web3.js';
import t from 'tap';
import { openSystem } from './support/system.ts';

/**
 * @solana/web3.js with the official SDK, against the whole system, with the calls that Dfns' own library for Solana
 * makes: `Transaction` for wallets of a Solana network, `Message` for wallets of pseudo network KeyEdDSA.
 */
const { sdk } = await openSystem(t);
const recentBlockhash = '4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAn';

const bound = await sdk.wallets.createWallet({ body: { network: 'SolanaDevnet' } });
const address = new PublicKey(bound.address ?? '');

const instruction = (from: PublicKey) =>
  SystemProgram.transfer({ fromPubkey: from, toPubkey: Keypair.generate().publicKey, lamports: 49 });

async function signTransaction(transaction: Uint8Array): Promise<Buffer> {
  const { status, signedData } = await sdk.wallets.generateSignature({
    walletId: bound.id,
    body: { kind: 'Transaction', transaction: `0x${Buffer.from(transaction).toString('hex')}` },
  });
  t.equal(status, 'Signed');
  return Buffer.from((signedData ?? '').slice(2), 'hex');
}

t.test('the address is the public key', async (t) => {
  t.equal(Buffer.from(address.toBytes()).toString('hex'), bound.signingKey.publicKey);
});

t.test('a legacy transaction', async (t) => {
  const unsigned = new Transaction({ feePayer: address, recentBlockhash }).add(instruction(address));
  const signed = await signTransaction(unsigned.serialize({ requireAllSignatures: false, verifySignatures: false }));
  t.ok(Transaction.from(signed).verifySignatures());
});

t.test('a legacy transaction that another signer pays for', async (t) => {
  const payer = Keypair.generate();
  const unsigned = new Transaction({ feePayer: payer.publicKey, recentBlockhash }).add(instruction(address));
  unsigned.partialSign(payer);
  const signed = await signTransaction(unsigned.serialize({ requireAllSignatures: false, verifySignatures: false }));
  t.ok(Transaction.from(signed).verifySignatures());
});

t.test('a version 0 transaction', async (t) => {
  const message = new TransactionMessage({ payerKey: address, recentBlockhash, instructions: [instruction(address)] });
  const unsigned = new VersionedTransaction(message.compileToV0Message());
  const signed = VersionedTransaction.deserialize(await signTransaction(unsigned.serialize()));
  t.equal(signed.version, 0);
  t.ok(ed25519.verify(signed.signatures[0] as Uint8Array, signed.message.serialize(), address.toBytes()));
});

t.test('a wallet of pseudo network KeyEdDSA signs the message of a transaction', async (t) => {
  const unbound = await sdk.wallets.createWallet({ body: { network: 'KeyEdDSA' } });
  t.equal(unbound.address, undefined);
  const key = new PublicKey(Buffer.from(unbound.signingKey.publicKey, 'hex'));
  const transaction = new Transaction({ feePayer: key, recentBlockhash }).add(instruction(key));
  const { signature } = await sdk.wallets.generateSignature({
    walletId: unbound.id,
    body: { kind: 'Message', message: `0x${transaction.serializeMessage().toString('hex')}` },
  });
  transaction.addSignature(key, Buffer.from((signature?.r ?? '').slice(2) + (signature?.s ?? '').slice(2), 'hex'));
  t.ok(transaction.verifySignatures());
});
