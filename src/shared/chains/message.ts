import { protocolLimits } from '../driver-protocol.ts';
import type { KeyType } from '../keys.ts';
import { badRequest } from './refusals.ts';

/**
 * Kind `Message` where no chain gives it another meaning: EdDSA signs the bytes themselves (RFC 8032, pure).
 * @throws BAD_REQUEST
 */
export function messageToSign(bytes: Buffer, { scheme }: KeyType): Buffer {
  if (scheme === 'ECDSA')
    throw badRequest(
      'an ECDSA key signs a Message only for EVM chains: name a network or blockchainKind, or sign the hash with kind Hash',
    );
  if (bytes.length === 0) throw badRequest('message must not be empty');
  if (bytes.length > protocolLimits.maxMessageBytes)
    throw badRequest(`message is longer than ${protocolLimits.maxMessageBytes} bytes`);
  return bytes;
}
