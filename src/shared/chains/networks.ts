/**
 * The networks that the Dfns API names (SDK 0.8.21), by how this program reads what is to be signed for them. The EVM
 * ones are those for which the SDK's own types name EIP-1559 fees; a test compares both lists with the SDK.
 */
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

const solanaNetworks = 'Solana SolanaDevnet';

/** Nothing but the signing of hashes (and, with EdDSA, of plain messages) is known for these. */
const otherNetworks = `
  Algorand AlgorandTestnet Aptos AptosTestnet BabylonGenesis BabylonTestnet5 Bitcoin BitcoinSignet
  BitcoinTestnet3 BitcoinTestnet4 BitcoinCash BitcoinCashTestnet Canton CantonDevnet CantonTestnet Cardano
  CardanoPreprod Concordium ConcordiumTestnet CosmosHub4 CosmosIcsTestnet Dogecoin DogecoinTestnet Hedera
  HederaTestnet InternetComputer Ion IonTestnet Iota IotaTestnet IotaZodianet Kaspa KaspaTestnet11 Kusama
  KusamaAssetHub Litecoin LitecoinTestnet Near NearTestnet Origyn Paseo PaseoAssetHub Polkadot
  PolkadotAssetHub Polymesh PolymeshTestnet SeiAtlantic2 SeiPacific1 Starknet StarknetSepolia Stellar
  StellarTestnet Sui SuiTestnet Tezos TezosGhostnet TezosShadownet Ton TonTestnet Tron TronNile Westend
  WestendAssetHub XrpLedger XrpLedgerTestnet
`;

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

/** The chains whose formats this program reads; `Other` is every chain that it knows by name only. */
export type ChainFamily = 'Evm' | 'Solana' | 'Other';

const families: ReadonlyMap<string, ChainFamily> = new Map([
  ...named(evmNetworks, 'Evm'),
  ...named(solanaNetworks, 'Solana'),
  ...named(otherNetworks, 'Other'),
]);

function named(list: string, family: ChainFamily): [string, ChainFamily][] {
  return list
    .trim()
    .split(/\s+/)
    .map((network) => [network, family]);
}

export const networks: readonly string[] = [...families.keys()];

/** `undefined` for a name that is not in the table. */
export function familyOfNetwork(network: string): ChainFamily | undefined {
  return families.get(network);
}

export function familyOfKind(kind: BlockchainKind): ChainFamily {
  return kind === 'Evm' || kind === 'Solana' ? kind : 'Other';
}
