import type { Curve, KeyType } from '../keys.ts';

/**
 * The networks that the Dfns API names (SDK 0.8.21): of which kind of chain each is, how this program reads what is to
 * be signed for it, and on which curve its wallets have their keys. Tests compare the names with the SDK's own types.
 */
export const blockchainKinds = [
  'Algorand',
  'Aptos',
  'Bitcoin',
  'BitcoinCash',
  'Canton',
  'Cardano',
  'Concordium',
  'Cosmos',
  'Evm',
  'Hedera',
  'Icp',
  'Iota',
  'Kaspa',
  'Near',
  'Polymesh',
  'Solana',
  'Starknet',
  'Stellar',
  'Substrate',
  'Sui',
  'Tezos',
  'Ton',
  'Tron',
  'Xrpl',
] as const;
export type BlockchainKind = (typeof blockchainKinds)[number];

/** The chains whose formats this program reads; `Unformatted` is every chain for which it signs hashes only. */
export type ChainFamily = 'Evm' | 'Solana' | 'Bitcoin' | 'Unformatted';

export interface Network {
  readonly kind: BlockchainKind;
  readonly family: ChainFamily;
  /** `undefined` where no key store has keys for it: Starknet's curve is one that no HSM signs on. */
  readonly type?: KeyType;
}

const secp256k1: KeyType = { scheme: 'ECDSA', curve: 'secp256k1' };
const ed25519: KeyType = { scheme: 'EdDSA', curve: 'ed25519' };

/** The EVM networks are those for which the SDK's own types name EIP-1559 fees. */
const evmNetworks = `
  ArbitrumOne ArbitrumGoerli ArbitrumSepolia ArcTestnet Areum AvalancheC AvalancheCFuji Adi AdiTestnet
  AdiTestnetAb Base BaseGoerli BaseSepolia Berachain BerachainBArtio BerachainBepolia BesuTestnet Bob
  BobSepolia Bsc BscTestnet Celo CeloAlfajores Codex CodexSepolia Ethereum EthereumClassic
  EthereumClassicMordor EthereumGoerli EthereumSepolia EthereumHolesky EthereumHoodi FantomOpera
  FantomTestnet FlareC FlareCCoston2 FlowEvm FlowEvmTestnet Ink InkSepolia Optimism OptimismGoerli
  OptimismSepolia Plasma PlasmaTestnet Plume PlumeSepolia Polygon PolygonAmoy PolygonMumbai Race
  RaceSepolia Sonic SonicTestnet Tempo TempoAndantino TempoModerato Tsc TscTestnet1 Xdc XdcApothem XLayer
  XLayerSepolia
`;

const networkTable = new Map<string, Network>([
  ...named('Evm', 'Evm', secp256k1, evmNetworks),
  ...named('Solana', 'Solana', ed25519, 'Solana SolanaDevnet'),
  ...named('Bitcoin', 'Bitcoin', secp256k1, 'Bitcoin BitcoinSignet BitcoinTestnet3 BitcoinTestnet4'),
  ...named('Bitcoin', 'Bitcoin', secp256k1, 'Litecoin LitecoinTestnet'),
  // Has no segregated witness, and so no P2WPKH.
  ...named('Bitcoin', 'Unformatted', secp256k1, 'Dogecoin DogecoinTestnet'),
  ...named('BitcoinCash', 'Unformatted', secp256k1, 'BitcoinCash BitcoinCashTestnet'),
  ...named(
    'Cosmos',
    'Unformatted',
    secp256k1,
    'BabylonGenesis BabylonTestnet5 CosmosHub4 CosmosIcsTestnet SeiAtlantic2 SeiPacific1',
  ),
  // Takes both curves; secp256k1 is what it recommends, and what its EVM transactions need.
  ...named('Hedera', 'Unformatted', secp256k1, 'Hedera HederaTestnet'),
  ...named('Kaspa', 'Unformatted', secp256k1, 'Kaspa KaspaTestnet11'),
  ...named('Tron', 'Unformatted', secp256k1, 'Tron TronNile'),
  // Takes both curves; its signatures in the Dfns API are ECDSA's.
  ...named('Xrpl', 'Unformatted', secp256k1, 'XrpLedger XrpLedgerTestnet'),
  ...named('Algorand', 'Unformatted', ed25519, 'Algorand AlgorandTestnet'),
  ...named('Aptos', 'Unformatted', ed25519, 'Aptos AptosTestnet'),
  ...named('Canton', 'Unformatted', ed25519, 'Canton CantonDevnet CantonTestnet'),
  ...named('Cardano', 'Unformatted', ed25519, 'Cardano CardanoPreprod'),
  ...named('Concordium', 'Unformatted', ed25519, 'Concordium ConcordiumTestnet'),
  // Takes both curves; ed25519 is its agents' default.
  ...named('Icp', 'Unformatted', ed25519, 'InternetComputer Origyn'),
  ...named('Iota', 'Unformatted', ed25519, 'Iota IotaTestnet IotaZodianet'),
  ...named('Near', 'Unformatted', ed25519, 'Near NearTestnet'),
  ...named('Polymesh', 'Unformatted', ed25519, 'Polymesh PolymeshTestnet'),
  ...named('Stellar', 'Unformatted', ed25519, 'Stellar StellarTestnet'),
  ...named(
    'Substrate',
    'Unformatted',
    ed25519,
    'Kusama KusamaAssetHub Paseo PaseoAssetHub Polkadot PolkadotAssetHub Westend WestendAssetHub',
  ),
  ...named('Sui', 'Unformatted', ed25519, 'Sui SuiTestnet'),
  ...named('Tezos', 'Unformatted', ed25519, 'Tezos TezosGhostnet TezosShadownet'),
  ...named('Ton', 'Unformatted', ed25519, 'Ton TonTestnet Ion IonTestnet'),
  ...named('Starknet', 'Unformatted', undefined, 'Starknet StarknetSepolia'),
]);

function named(
  kind: BlockchainKind,
  family: ChainFamily,
  type: KeyType | undefined,
  names: string,
): (readonly [string, Network])[] {
  const network: Network = { kind, family, ...(type === undefined ? {} : { type }) };
  return names
    .trim()
    .split(/\s+/)
    .map((name) => [name, network]);
}

export const networks: readonly string[] = [...networkTable.keys()];

/** `undefined` for a name that is not in the table. */
export function networkNamed(name: string): Network | undefined {
  return networkTable.get(name);
}

export function familyOfKind(kind: BlockchainKind): ChainFamily {
  return kind === 'Evm' || kind === 'Solana' || kind === 'Bitcoin' ? kind : 'Unformatted';
}

/** The curve on which a chain of this family verifies; `undefined` where any will do, since only hashes are signed. */
export function curveOfFamily(family: ChainFamily): Curve | undefined {
  switch (family) {
    case 'Evm':
    case 'Bitcoin':
      return 'secp256k1';
    case 'Solana':
      return 'ed25519';
    case 'Unformatted':
      return undefined;
    default:
      throw family satisfies never;
  }
}
