import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { DfnsApiClient } from '@dfns/sdk';
import { AsymmetricKeySigner } from '@dfns/sdk-keysigner';
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { PublicKey, SystemProgram, Transaction } from '@solana/web3.js';
import {
  keccak256,
  parseEther,
  parseGwei,
  recoverTransactionAddress,
  serializeTransaction,
  type TransactionSerializableEIP1559,
} from 'viem';
import { publicKeyToAddress } from 'viem/utils';
import type { ClientFile } from './client.ts';

/**
 * The sample work of `npm start`, and an example of a client: unmodified @dfns/sdk, real transactions, verified by
 * libraries that are not ours. A process of its own, because the SDK takes a private CA only from NODE_EXTRA_CA_CERTS,
 * which Node reads at its start.
 *
 *   NODE_EXTRA_CA_CERTS=.local/certificates/application/ca.pem node scripts/local/sample.ts .local/client.json [KEYS-FILE]
 */
const [clientFile, keysFile] = process.argv.slice(2);
if (clientFile === undefined) throw new Error('usage: sample.ts CLIENT-FILE [KEYS-FILE]');

const client = JSON.parse(readFileSync(clientFile, 'utf8')) as ClientFile;
const dfns = new DfnsApiClient({
  baseUrl: client.baseUrl,
  orgId: client.orgId,
  authToken: client.authToken,
  signer: new AsymmetricKeySigner({ credId: client.credentialId, privateKey: client.privateKeyPem }),
});

const ethereumKey = await openKey('Ethereum', 'ECDSA', 'secp256k1');
await signEthereumTransfer(ethereumKey);
const solanaKey = await openKey('Solana', 'EdDSA', 'ed25519');
await signSolanaTransfer(solanaKey);

interface SampleKey {
  readonly id: string;
  readonly publicKey: string;
}

/** A key of an earlier run where there is one: it is still in the database, wrapped, and still signs. */
async function openKey(name: string, scheme: 'ECDSA' | 'EdDSA', curve: 'secp256k1' | 'ed25519'): Promise<SampleKey> {
  const kept =
    keysFile !== undefined && existsSync(keysFile)
      ? (JSON.parse(readFileSync(keysFile, 'utf8')) as Record<string, SampleKey>)
      : {};
  const before = kept[name];
  if (before !== undefined) {
    say(`${name} key`, before.id, 'from an earlier run');
    return before;
  }
  const { value: key, ms } = await timed(() =>
    dfns.keys.createKey({ body: { scheme, curve, name: `${name} sample` } }),
  );
  say(`${name} key`, key.id, `${scheme} ${curve}, made in ${ms} ms`);
  if (keysFile !== undefined)
    writeFileSync(
      keysFile,
      `${JSON.stringify({ ...kept, [name]: { id: key.id, publicKey: key.publicKey } }, null, 2)}\n`,
    );
  return key;
}

/** An EIP-1559 transfer on Sepolia: what comes back is ready for eth_sendRawTransaction. */
async function signEthereumTransfer(key: SampleKey): Promise<void> {
  const address = publicKeyToAddress(`0x${secp256k1.Point.fromHex(key.publicKey).toHex(false)}`);
  const transaction: TransactionSerializableEIP1559 = {
    type: 'eip1559',
    chainId: 11_155_111,
    nonce: 0,
    to: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
    value: parseEther('0.001'),
    gas: 21_000n,
    maxFeePerGas: parseGwei('20'),
    maxPriorityFeePerGas: parseGwei('1'),
  };
  const serialized = serializeTransaction(transaction);
  const { value: request, ms } = await timed(() =>
    dfns.keys.generateSignature({
      keyId: key.id,
      body: { kind: 'Transaction', blockchainKind: 'Evm', transaction: serialized },
    }),
  );
  const signature = request.signature;
  if (request.status !== 'Signed' || signature === undefined || request.signedData === undefined) {
    throw new Error(`the Ethereum transfer is ${request.status}: ${request.reason ?? 'no reason given'}`);
  }
  say('Ethereum transfer', request.id, `signed in ${ms} ms`);
  const recovered = await recoverTransactionAddress({ serializedTransaction: request.signedData as `0x02${string}` });
  check(recovered.toLowerCase() === address.toLowerCase(), `viem recovers the sender ${address}`);
  const rs = Buffer.from(signature.r.slice(2) + signature.s.slice(2), 'hex');
  const holds = secp256k1.verify(
    rs,
    Buffer.from(keccak256(serialized).slice(2), 'hex'),
    Buffer.from(key.publicKey, 'hex'),
    { prehash: false, lowS: true },
  );
  check(holds, '@noble/curves verifies it, low-s');
}

/** A transfer on Solana: the message is signed, the SDK’s answer carries the whole transaction. */
async function signSolanaTransfer(key: SampleKey): Promise<void> {
  const from = new PublicKey(Buffer.from(key.publicKey, 'hex'));
  const transaction = new Transaction({
    feePayer: from,
    blockhash: 'EETubP5AKHgjPAhzPAFcb8BAY1hMH639CWCFTqi3hq1k',
    lastValidBlockHeight: 1,
  }).add(
    SystemProgram.transfer({
      fromPubkey: from,
      toPubkey: new PublicKey('Vote111111111111111111111111111111111111111'),
      lamports: 1_000,
    }),
  );
  const serialized = transaction.serialize({ requireAllSignatures: false, verifySignatures: false });
  const { value: request, ms } = await timed(() =>
    dfns.keys.generateSignature({
      keyId: key.id,
      body: { kind: 'Transaction', blockchainKind: 'Solana', transaction: `0x${serialized.toString('hex')}` },
    }),
  );
  const signature = request.signature;
  if (request.status !== 'Signed' || signature === undefined || request.signedData === undefined) {
    throw new Error(`the Solana transfer is ${request.status}: ${request.reason ?? 'no reason given'}`);
  }
  say('Solana transfer', request.id, `signed in ${ms} ms`);
  const signed = Transaction.from(Buffer.from(request.signedData.slice(2), 'hex'));
  check(signed.verifySignatures(true), `@solana/web3.js verifies the signature of ${from.toBase58()}`);
  const rs = Buffer.from(signature.r.slice(2) + signature.s.slice(2), 'hex');
  check(
    ed25519.verify(rs, transaction.serializeMessage(), Buffer.from(key.publicKey, 'hex')),
    '@noble/curves verifies it (RFC 8032)',
  );
}

async function timed<Value>(work: () => Promise<Value>): Promise<{ value: Value; ms: number }> {
  const start = performance.now();
  const value = await work();
  return { value, ms: Math.round(performance.now() - start) };
}

function say(what: string, id: string, how: string): void {
  process.stdout.write(`  ${what.padEnd(18)} ${id}  ${how}\n`);
}

function check(holds: boolean, claim: string): void {
  if (!holds) throw new Error(`NOT TRUE: ${claim}`);
  process.stdout.write(`  ${''.padEnd(18)} ✓ ${claim}\n`);
}
