import { base58 } from '@scure/base';
import { p2wpkh } from '@scure/btc-signer';
import { addr } from 'micro-eth-signer';
import { bitcoinParameters } from './bitcoin-networks.ts';
import { networkNamed } from './networks.ts';

/**
 * The address of a key on a network: EVM as 20 bytes of the Keccak-256 of the public key, 0x and lower case; Solana the
 * public key in base58; Bitcoin and Litecoin P2WPKH in bech32 (BIP 84, BIP 173).
 * @param publicKey as in src/shared/keys.ts.
 * @returns `undefined` where no format is known, for pseudo networks too.
 * @throws where the public key does not fit the network; never a 400, since only attested keys come here.
 */
export function addressOf(network: string, publicKey: string): string | undefined {
  const family = networkNamed(network)?.family;
  switch (family) {
    case 'Evm':
      return addr.fromPublicKey(bytesOf(publicKey, 33)).toLowerCase();
    case 'Solana':
      return base58.encode(bytesOf(publicKey, 32));
    case 'Bitcoin':
      return p2wpkh(bytesOf(publicKey, 33), bitcoinParameters(network)).address;
    case 'Unformatted':
    case undefined:
      return undefined;
    default:
      throw family satisfies never;
  }
}

function bytesOf(publicKey: string, length: number): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(publicKey, 'hex'));
  if (bytes.length !== length) throw new RangeError(`a public key of ${bytes.length} bytes and not ${length}`);
  return bytes;
}
