import { CodedError } from '../errors.ts';
import type { KeyType } from '../keys.ts';
import { type ChainFamily, networkNamed, networks } from './networks.ts';

/**
 * Networks as wallets have them: those of the Dfns API, and its pseudo networks, whose wallets are a key without a chain
 * (no address; hashes are signed, and messages with EdDSA).
 */
export interface WalletNetwork {
  readonly family: ChainFamily | 'Pseudo';
  /** Of a new wallet's key. */
  readonly type: KeyType;
}

const pseudoNetworks: ReadonlyMap<string, KeyType> = new Map<string, KeyType>([
  ['KeyECDSA', { scheme: 'ECDSA', curve: 'secp256k1' }],
  ['KeyEdDSA', { scheme: 'EdDSA', curve: 'ed25519' }],
]);
/** Their keys are on a curve that no HSM signs on. */
const starkNetwork = 'KeyECDSAStark';

/** Every name that `POST /wallets` takes as `network`. */
export const walletNetworks: readonly string[] = [...networks, ...pseudoNetworks.keys(), starkNetwork];

/**
 * @returns `undefined` for a name that the Dfns API does not have.
 * @throws UNSUPPORTED for networks whose keys no key store can make.
 */
export function walletNetwork(name: string): WalletNetwork | undefined {
  const pseudo = pseudoNetworks.get(name);
  if (pseudo !== undefined) return { family: 'Pseudo', type: pseudo };
  const network = networkNamed(name);
  if (name === starkNetwork || (network !== undefined && network.type === undefined))
    throw new CodedError('UNSUPPORTED', `network ${name} needs keys on the stark curve`);
  return network?.type === undefined ? undefined : { family: network.family, type: network.type };
}
