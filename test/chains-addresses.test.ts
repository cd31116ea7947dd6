import { PublicKey } from '@solana/web3.js';
import t from 'tap';
import { privateKeyToAccount } from 'viem/accounts';
import { addressOf } from '../src/shared/chains/addresses.ts';
import { networkNamed, networks } from '../src/shared/chains/networks.ts';
import { walletNetwork, walletNetworks } from '../src/shared/chains/wallet-network.ts';
import { publicKeyOf, refusalOf } from './support/chain-signer.ts';

/** The generator point, which BIP 173 has its examples for. */
const generator = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798';

t.test('Bitcoin: the examples of BIP 173 and BIP 84, and one prefix for each network', async (t) => {
  const witness = 'w508d6qejxtdg4y5r3zarvary0c5xw7k';
  t.equal(addressOf('Bitcoin', generator), `bc1q${witness}v8f3t4`);
  for (const network of ['BitcoinSignet', 'BitcoinTestnet3', 'BitcoinTestnet4'])
    t.equal(addressOf(network, generator), `tb1q${witness}xpjzsx`);
  t.equal(addressOf('Litecoin', generator), `ltc1q${witness}gmn4n9`);
  t.match(addressOf('LitecoinTestnet', generator), new RegExp(`^tltc1q${witness}`));
  t.equal(
    addressOf('Bitcoin', '0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c'),
    'bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu',
  );
});

t.test('EVM: the address that viem has for the same key, in lower case, on every EVM network', async (t) => {
  const { address } = privateKeyToAccount(`0x${'46'.repeat(32)}`);
  const evm = networks.filter((name) => networkNamed(name)?.family === 'Evm');
  t.ok(evm.length > 60);
  const addresses = new Set(evm.map((name) => addressOf(name, publicKeyOf('46'.repeat(32)))));
  t.same([...addresses], [address.toLowerCase()]);
  t.equal(addressOf('Ethereum', generator), '0x7e5f4552091a69125d5dfcb7b8c2659029395bdf');
});

t.test('Solana: the public key in base58', async (t) => {
  for (const publicKey of ['1398f62c6d1a457c51ba6a4b5f3dbd2f69fca93216218dc8997e416bd17d93ca', '00'.repeat(32)])
    t.equal(addressOf('Solana', publicKey), new PublicKey(Buffer.from(publicKey, 'hex')).toBase58());
});

t.test('where no format is known there is no address', async (t) => {
  for (const name of ['Tron', 'Dogecoin', 'Starknet', 'KeyECDSA', 'KeyEdDSA', '', 'constructor'])
    t.equal(addressOf(name, generator), undefined, name);
});

t.test('a public key of another kind has no address, and is never shown as one', async (t) => {
  t.throws(() => addressOf('Ethereum', '11'.repeat(32)));
  t.throws(() => addressOf('Bitcoin', '11'.repeat(32)));
  t.throws(() => addressOf('Solana', generator));
  t.throws(() => addressOf('Ethereum', `02${'ff'.repeat(32)}`), 'no point of the curve');
});

t.test('a wallet has keys of the curve of its network', async (t) => {
  t.same(walletNetwork('Polygon'), { family: 'Evm', type: { scheme: 'ECDSA', curve: 'secp256k1' } });
  t.same(walletNetwork('SolanaDevnet'), { family: 'Solana', type: { scheme: 'EdDSA', curve: 'ed25519' } });
  t.same(walletNetwork('BitcoinSignet'), { family: 'Bitcoin', type: { scheme: 'ECDSA', curve: 'secp256k1' } });
  t.same(walletNetwork('KeyECDSA'), { family: 'Pseudo', type: { scheme: 'ECDSA', curve: 'secp256k1' } });
  t.same(walletNetwork('KeyEdDSA'), { family: 'Pseudo', type: { scheme: 'EdDSA', curve: 'ed25519' } });
  const curve = (name: string) => walletNetwork(name)?.type.curve;
  for (const name of ['Tron', 'XrpLedger', 'CosmosHub4', 'Dogecoin', 'Hedera']) t.equal(curve(name), 'secp256k1', name);
  for (const name of ['Cardano', 'Stellar', 'Polkadot', 'Ton', 'Near', 'Sui', 'Tezos'])
    t.equal(curve(name), 'ed25519', name);
  for (const name of ['', 'ethereum', '__proto__']) t.equal(walletNetwork(name), undefined);
});

t.test('networks on a curve that no HSM signs on are refused, by name', async (t) => {
  for (const name of ['Starknet', 'StarknetSepolia', 'KeyECDSAStark'])
    t.match(
      refusalOf(() => walletNetwork(name)),
      { code: 'UNSUPPORTED', detail: new RegExp(`${name} .*stark`) },
    );
  const usable = walletNetworks.filter((name) => refusalOf(() => walletNetwork(name)).code === undefined);
  t.equal(usable.length, walletNetworks.length - 3);
});
