import { secp256k1 } from '@noble/curves/secp256k1.js';
import { networks, Psbt, payments, type SignerAsync, Transaction } from 'bitcoinjs-lib';
import t from 'tap';
import { openSystem } from './support/system.ts';

/** bitcoinjs-lib with the official SDK, against the whole system: a PSBT as a whole, and hash by hash. */
const { sdk } = await openSystem(t);
const network = networks.testnet;
const wallet = await sdk.wallets.createWallet({ body: { network: 'BitcoinSignet' } });
const publicKey = Buffer.from(wallet.signingKey.publicKey, 'hex');
const own = payments.p2wpkh({ pubkey: publicKey, network });

/** Spends this many outputs of the wallet, and pays back to it. */
function unsigned(inputs: number): Psbt {
  const psbt = new Psbt({ network });
  for (let index = 0; index < inputs; index += 1) {
    const previous = new Transaction();
    previous.addInput(Buffer.alloc(32, index + 1), 0);
    previous.addOutput(own.output as Uint8Array, 10_000n);
    psbt.addInput({
      hash: previous.getId(),
      index: 0,
      witnessUtxo: { script: own.output as Uint8Array, value: 10_000n },
      ...(index % 2 === 0 ? {} : { nonWitnessUtxo: previous.toBuffer() }),
    });
  }
  return psbt.addOutput({ address: wallet.address ?? '', value: 9_000n });
}

const verify = (key: Uint8Array, hash: Uint8Array, signature: Uint8Array) =>
  secp256k1.verify(signature, hash, key, { prehash: false });

t.test('the address is the key’s P2WPKH address', async (t) => {
  t.equal(wallet.address, own.address);
});

t.test('a PSBT of several inputs comes back signed, and can be finalised', async (t) => {
  const answer = await sdk.wallets.generateSignature({
    walletId: wallet.id,
    body: { kind: 'Psbt', psbt: `0x${unsigned(3).toHex()}` },
  });
  t.equal(answer.status, 'Signed');
  t.equal(answer.signatures?.length, 3);
  const signed = Psbt.fromHex((answer.signedData ?? '').slice(2), { network });
  t.ok(signed.validateSignaturesOfAllInputs(verify));
  t.equal(signed.finalizeAllInputs().extractTransaction().ins.length, 3);
});

t.test('the same key signs a PSBT through the keys call too', async (t) => {
  const answer = await sdk.keys.generateSignature({
    keyId: wallet.signingKey.id,
    body: { kind: 'Psbt', psbt: unsigned(1).toHex(), blockchainKind: 'Bitcoin' },
  });
  t.equal(answer.signatures?.length, 1);
  t.ok(Psbt.fromHex((answer.signedData ?? '').slice(2), { network }).validateSignaturesOfAllInputs(verify));
});

t.test('bitcoinjs-lib signs with the wallet as its signer, by hashes', async (t) => {
  const signer: SignerAsync = {
    publicKey,
    async sign(hash: Uint8Array): Promise<Uint8Array> {
      const { signature } = await sdk.wallets.generateSignature({
        walletId: wallet.id,
        body: { kind: 'Hash', hash: `0x${Buffer.from(hash).toString('hex')}` },
      });
      return Buffer.from((signature?.r ?? '').slice(2) + (signature?.s ?? '').slice(2), 'hex');
    },
  };
  const psbt = unsigned(2);
  await psbt.signAllInputsAsync(signer);
  t.ok(psbt.validateSignaturesOfAllInputs(verify));
});
