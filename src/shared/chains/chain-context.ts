import { CodedError } from '../errors.ts';
import type { KeyType } from '../keys.ts';
import { type ChainFamily, curveOfFamily, familyOfKind, type Network, networkNamed } from './networks.ts';
import type { SignatureBody } from './signature-body.ts';
import { walletNetwork } from './wallet-network.ts';

/** Which chain a request is for, as far as it says. */
export interface ChainContext {
  /** `undefined`: no chain is named, and the kind does not name one either. */
  readonly family?: ChainFamily;
  /** For errors: `network Tron`. */
  readonly named: string;
}

/**
 * A wallet's network decides; the body's network and blockchainKind may say the same again, and are all there is for a
 * key and for a wallet of a pseudo network. What contradicts is refused, whichever would win.
 * @param walletsNetwork absent for keys.
 * @throws BAD_REQUEST
 */
export function chainContext(body: SignatureBody, walletsNetwork: string | undefined): ChainContext {
  const wallet = boundNetwork(walletsNetwork);
  if (wallet !== undefined && body.network !== undefined && body.network !== wallet)
    throw new CodedError('BAD_REQUEST', `the wallet is on network ${wallet}, and the request names ${body.network}`);
  const name = wallet ?? body.network;
  const network = name === undefined ? undefined : knownNetwork(name);
  const { blockchainKind } = body;
  if (network !== undefined && blockchainKind !== undefined && network.kind !== blockchainKind)
    throw new CodedError('BAD_REQUEST', `network ${name} is not of blockchainKind ${blockchainKind}`);
  if (network !== undefined) return { family: network.family, named: `network ${name}` };
  if (blockchainKind === undefined) return { named: 'no chain' };
  return { family: familyOfKind(blockchainKind), named: `blockchainKind ${blockchainKind}` };
}

/**
 * @param named the chain's or the kind's name, for the error.
 * @throws BAD_REQUEST where the chain verifies on another curve than the key's.
 */
export function requireCurve(type: KeyType, family: ChainFamily | undefined, named: string): void {
  const needed = family === undefined ? undefined : curveOfFamily(family);
  if (needed !== undefined && type.curve !== needed)
    throw new CodedError('BAD_REQUEST', `${named} needs a key on curve ${needed}; this one is on ${type.curve}`);
}

/** The network that a wallet is bound to; `undefined` for a key, and for wallets of pseudo networks. */
function boundNetwork(walletsNetwork: string | undefined): string | undefined {
  if (walletsNetwork === undefined) return undefined;
  const known = walletNetwork(walletsNetwork);
  if (known === undefined) throw new CodedError('BAD_REQUEST', `network ${walletsNetwork} is not known`);
  return known.family === 'Pseudo' ? undefined : walletsNetwork;
}

function knownNetwork(name: string): Network {
  const network = networkNamed(name);
  if (network === undefined) throw new CodedError('BAD_REQUEST', `network ${name} is not known`);
  return network;
}
