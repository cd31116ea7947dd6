import { NETWORK, TEST_NETWORK } from '@scure/btc-signer/utils.js';

/** What tells Bitcoin's networks apart in an address; nothing of it is in what is signed. */
export type BitcoinParameters = typeof NETWORK;

/** BIP 173's human-readable part per network; signet and every testnet share one (BIP 325, BIP 94). */
const bech32Prefixes: ReadonlyMap<string, string> = new Map([
  ['Bitcoin', 'bc'],
  ['BitcoinSignet', 'tb'],
  ['BitcoinTestnet3', 'tb'],
  ['BitcoinTestnet4', 'tb'],
  ['Litecoin', 'ltc'],
  ['LitecoinTestnet', 'tltc'],
]);

/** @throws RangeError for a network that is none of Bitcoin's family. */
export function bitcoinParameters(network: string): BitcoinParameters {
  const bech32 = bech32Prefixes.get(network);
  if (bech32 === undefined) throw new RangeError(`${network} is no network of Bitcoin's family`);
  return { ...(bech32 === 'bc' ? NETWORK : TEST_NETWORK), bech32 };
}
