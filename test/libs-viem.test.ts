import { createRequire } from 'node:module';
import { DfnsWallet } from '@dfns/lib-viem';
import t, { type Test } from 'tap';
import {
  type Hex,
  type LocalAccount,
  parseTransaction,
  recoverMessageAddress,
  recoverTransactionAddress,
  recoverTypedDataAddress,
  type TransactionSerializable,
  type TransactionSerialized,
} from 'viem';
import { toAccount } from 'viem/accounts';
import { openSystem } from './support/system.ts';

/**
 * `@dfns/lib-viem` as it is in the registry, with the viem 1.21.4 that it brings, and inside viem 2's accounts, against
 * the whole system: API, driver nodes, tokens.
 */
const { sdk } = await openSystem(t);
/** The viem 1 that the library itself has. */
const viem1 = createRequire(createRequire(import.meta.url).resolve('@dfns/lib-viem'))('viem/accounts') as {
  toAccount: (source: unknown) => LocalAccount;
};

const to = '0xa238b6008bc2fbd9e386a5d4784511980ce504cd';
const chainId = 11_155_111;
const accessList = [{ address: to, storageKeys: [`0x${'01'.repeat(32)}`] }] as const;
const transactions: TransactionSerializable[] = [
  { type: 'legacy', nonce: 0, gasPrice: 2n, gas: 21_000n, to, value: 1n },
  { type: 'legacy', chainId, nonce: 1, gasPrice: 20_000_000_000n, gas: 21_000n, to, value: 1n },
  { type: 'eip2930', chainId, nonce: 2, gasPrice: 1n, gas: 50_000n, to, accessList },
  { type: 'eip1559', chainId, nonce: 3, maxFeePerGas: 3n, maxPriorityFeePerGas: 1n, gas: 21_000n, to, value: 7n },
  { type: 'eip1559', chainId, nonce: 4, maxFeePerGas: 3n, gas: 90_000n, data: '0x6001600155' },
];
const typedData = {
  domain: { name: 'Ether Mail', version: '1', chainId, verifyingContract: to },
  types: {
    Person: [
      { name: 'name', type: 'string' },
      { name: 'wallet', type: 'address' },
    ],
    Mail: [
      { name: 'from', type: 'Person' },
      { name: 'contents', type: 'bytes' },
      { name: 'amounts', type: 'uint256[]' },
    ],
  },
  primaryType: 'Mail',
  message: { from: { name: 'é', wallet: to }, contents: '0xabcd', amounts: [1n, 2n ** 255n] },
} as const;

/** What viem calls an account, in either version. */
type Account = Pick<LocalAccount, 'address' | 'signTransaction' | 'signMessage' | 'signTypedData'>;

async function signsEverything(t: Test, account: Account): Promise<void> {
  for (const transaction of transactions) {
    const signed = (await account.signTransaction(transaction)) as TransactionSerialized;
    t.equal(
      await recoverTransactionAddress({ serializedTransaction: signed }),
      account.address,
      transaction.type ?? '',
    );
    t.match(parseTransaction(signed), { type: transaction.type, gas: transaction.gas });
  }
  for (const message of ['hello é', '', { raw: '0x00ff' as Hex }, { raw: Uint8Array.of(1, 2, 3) }])
    t.equal(
      await recoverMessageAddress({ message, signature: await account.signMessage({ message }) }),
      account.address,
      JSON.stringify(message),
    );
  const signature = await account.signTypedData(typedData);
  t.equal(await recoverTypedDataAddress({ ...typedData, signature }), account.address, 'typed data');
}

/** Its types are viem 1's. */
function viem2Account(wallet: DfnsWallet): Account {
  return toAccount(wallet as unknown as Parameters<typeof toAccount>[0]) as Account;
}

t.test('an EVM wallet signs as an account of viem 1 and of viem 2', async (t) => {
  const { id: walletId, address } = await sdk.wallets.createWallet({ body: { network: 'EthereumSepolia' } });
  const wallet = await DfnsWallet.init({ walletId, dfnsClient: sdk });
  t.equal(wallet.address.toLowerCase(), address);
  await t.test('viem 1.21.4', (t) => signsEverything(t, viem1.toAccount(wallet)));
  await t.test('viem 2', (t) => signsEverything(t, viem2Account(wallet)));
});
