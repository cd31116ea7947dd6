import { createRequire } from 'node:module';
import { DfnsWallet } from '@dfns/lib-ethersjs5';
import t from 'tap';
import {
  hashTypedData,
  recoverAddress,
  recoverMessageAddress,
  recoverTransactionAddress,
  type TransactionSerialized,
} from 'viem';
import { openSystem } from './support/system.ts';

/** `@dfns/lib-ethersjs5` as it is in the registry, with the ethers 5 that it brings, against the whole system. */
const { sdk } = await openSystem(t);
const { BigNumber } = createRequire(createRequire(import.meta.url).resolve('@dfns/lib-ethersjs5'))(
  '@ethersproject/bignumber',
) as { BigNumber: { from(value: string): unknown } };

const to = '0xa238b6008BC2FBd9E386A5d4784511980cE504Cd'.toLowerCase();
const { id: walletId, address } = await sdk.wallets.createWallet({ body: { network: 'EthereumSepolia' } });
const wallet = await DfnsWallet.init({ walletId, dfnsClient: sdk });

t.test('the wallet has the address that the API shows', async (t) => {
  t.equal((await wallet.getAddress()).toLowerCase(), address);
});

t.test('it signs transactions of every type that ethers 5 knows', async (t) => {
  const common = { from: address, to, value: 1, gasLimit: 21_000, chainId: 11_155_111 } as const;
  for (const transaction of [
    { ...common, nonce: 0, gasPrice: 5 },
    { ...common, nonce: 1, gasPrice: 5, type: 1, accessList: [] },
    { ...common, nonce: 2, maxFeePerGas: 9, maxPriorityFeePerGas: 1, type: 2, data: '0xabcdef' },
  ]) {
    const serializedTransaction = (await wallet.signTransaction(transaction as object)) as TransactionSerialized;
    t.equal((await recoverTransactionAddress({ serializedTransaction })).toLowerCase(), address);
  }
});

t.test('it signs messages, as text and as bytes', async (t) => {
  for (const message of ['hello é', '', Uint8Array.of(0, 255)]) {
    const signature = (await wallet.signMessage(message)) as `0x${string}`;
    const signed = typeof message === 'string' ? message : { raw: message };
    t.equal((await recoverMessageAddress({ message: signed, signature })).toLowerCase(), address);
  }
});

t.test('it signs typed data, with numbers and bytes in the forms that ethers has for them', async (t) => {
  const domain = { name: 'Token', version: '1', chainId: 11_155_111, verifyingContract: to };
  const types = {
    Item: [
      { name: 'amount', type: 'uint256' },
      { name: 'change', type: 'int64' },
      { name: 'note', type: 'bytes' },
      { name: 'salt', type: 'bytes4' },
    ],
    Order: [
      { name: 'owner', type: 'address' },
      { name: 'items', type: 'Item[]' },
      { name: 'open', type: 'bool' },
    ],
  };
  const big = '115792089237316195423570985008687907853269984665640564039457584007913129639935';
  const item = {
    amount: BigNumber.from(big),
    change: -5,
    note: Uint8Array.of(1, 2),
    salt: Buffer.from('01020304', 'hex'),
  };
  const message = { owner: to, items: [item, { ...item, amount: '7' }], open: true };
  const signature = (await wallet._signTypedData(domain, types, message)) as `0x${string}`;
  const plain = { amount: BigInt(big), change: -5n, note: '0x0102', salt: '0x01020304' };
  const hash = hashTypedData({
    domain,
    types,
    primaryType: 'Order',
    message: { owner: to, items: [plain, { ...plain, amount: 7n }], open: true },
  } as Parameters<typeof hashTypedData>[0]);
  t.equal((await recoverAddress({ hash, signature })).toLowerCase(), address);
});

t.test('a wallet of pseudo network KeyECDSA signs the same, by hashes', async (t) => {
  const { id } = await sdk.wallets.createWallet({ body: { network: 'KeyECDSA' } });
  const unbound = await DfnsWallet.init({ walletId: id, dfnsClient: sdk });
  const own = await unbound.getAddress();
  const transaction = { to, nonce: 0, gasPrice: 5, gasLimit: 21_000, chainId: 1 };
  const serializedTransaction = (await unbound.signTransaction(transaction)) as TransactionSerialized;
  t.equal(await recoverTransactionAddress({ serializedTransaction }), own);
  const signature = (await unbound.signMessage('x')) as `0x${string}`;
  t.equal(await recoverMessageAddress({ message: 'x', signature }), own);
});
