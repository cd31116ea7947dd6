import { secp256k1 } from '@noble/curves/secp256k1.js';
import t from 'tap';
import { hashMessage, recoverAddress } from 'viem';
import { openSystem } from './support/system.ts';

/** Wallets through the official SDK, real driver nodes and real tokens. */
const { sdk } = await openSystem(t);

t.test('a wallet’s address is that of a key in the HSM, which signs for it', async (t) => {
  const wallet = await sdk.wallets.createWallet({ body: { network: 'EthereumSepolia', name: 'Treasury' } });
  const message = '0x68656c6c6f';
  const signed = await sdk.wallets.generateSignature({ walletId: wallet.id, body: { kind: 'Message', message } });
  t.equal(signed.status, 'Signed');
  const { r = '', s = '', recid } = signed.signature ?? {};
  const signature = `${r}${s.slice(2)}${recid === 1 ? '1c' : '1b'}` as `0x${string}`;
  const recovered = await recoverAddress({ hash: hashMessage({ raw: message }), signature });
  t.equal(recovered.toLowerCase(), wallet.address);
  t.same(await sdk.wallets.getWallet({ walletId: wallet.id }), wallet);
});

t.test('one key serves wallets on several networks', async (t) => {
  const first = await sdk.wallets.createWallet({ body: { network: 'Ethereum' } });
  const body = { network: 'Bitcoin', signingKey: { id: first.signingKey.id } } as const;
  const second = await sdk.wallets.createWallet({ body });
  t.match(second.address, /^bc1q/);
  const hash = 'ab'.repeat(32);
  const signed = await sdk.wallets.generateSignature({ walletId: second.id, body: { kind: 'Hash', hash } });
  const { r = '', s = '' } = signed.signature ?? {};
  const rs = Buffer.from(r.slice(2) + s.slice(2), 'hex');
  const publicKey = Buffer.from(first.signingKey.publicKey, 'hex');
  t.ok(secp256k1.verify(rs, Buffer.from(hash, 'hex'), publicKey, { prehash: false, lowS: true }));
});
