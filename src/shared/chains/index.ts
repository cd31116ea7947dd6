import { protocolLimits, type Signature } from '../driver-protocol.ts';
import { CodedError } from '../errors.ts';
import type { KeyType } from '../keys.ts';
import { type AnswerSignature, answerSignature, type JoinedSignatures } from './answer-signature.ts';
import { eip191Digest, evmSignature, evmSignedData, evmTransactionDigest } from './evm.ts';
import { hashToSign } from './hash.ts';
import { bytesOfHex } from './hex-text.ts';
import { type BlockchainKind, type ChainFamily, familyOfKind, familyOfNetwork } from './networks.ts';
import type { SignatureBody } from './signature-body.ts';
import { type SignatureFormat, signatureFormat } from './signature-format.ts';
import { solanaMessage, solanaSignature, solanaSignedData } from './solana.ts';

/**
 * What is signed for a request, and what its answer looks like. Pure functions of the request and the key: the API
 * computes them to answer, a driver to check what the caller authorised.
 */
export interface WhatToSign {
  /** What C_Sign is given, one per signature: 32-byte digests for ECDSA, whole messages for EdDSA. */
  readonly digests: Buffer[];
  /** For `joinSignatures`; plain JSON. */
  readonly format?: SignatureFormat;
}

export interface SigningContext {
  readonly type: KeyType;
  /** As in src/shared/keys.ts. */
  readonly publicKey: string;
  readonly body: SignatureBody;
  /** A wallet's network; where there is none, the body's own network and blockchainKind say how to read it. */
  readonly network?: string;
}

/** @throws BAD_REQUEST, DIGEST_INVALID, UNSUPPORTED */
export function digestsToSign(context: SigningContext): WhatToSign {
  const { body, type, publicKey } = context;
  const family = chainFamily(context);
  requireFit(type, family);
  switch (body.kind) {
    case 'Hash':
      return whatToSign(hashToSign(body.hash), plainFormat(family));
    case 'Message':
    case 'Eip191':
      return message(body.kind, bytesOfHex(body.message, 'message'), type, family);
    case 'Transaction':
      return transaction(bytesOfHex(body.transaction, 'transaction'), publicKey, family);
    default:
      throw body satisfies never;
  }
}

/**
 * @param format what `digestsToSign` gave, as it was stored.
 * @param signatures one for each digest, in their order.
 */
export function joinSignatures(format: unknown, signatures: readonly Signature[], publicKey: string): JoinedSignatures {
  const known = format === undefined || format === null ? undefined : signatureFormat.parse(format);
  const [first, ...others] = signatures.map((signature) => formatted(known, signature));
  const raw = signatures[0];
  if (first === undefined || raw === undefined) throw new RangeError('a signed request without signatures');
  const signedData = signedDataOf(known, raw, publicKey);
  return {
    signature: first,
    ...(others.length === 0 ? {} : { signatures: [first, ...others] }),
    ...(signedData === undefined ? {} : { signedData }),
  };
}

function message(
  kind: 'Message' | 'Eip191',
  bytes: Buffer,
  type: KeyType,
  family: ChainFamily | undefined,
): WhatToSign {
  if (family === 'Other') throw unsupported(kind, 'this network');
  if (kind === 'Eip191' || family === 'Evm') {
    if (type.curve !== 'secp256k1') throw new CodedError('BAD_REQUEST', 'kind Eip191 needs a key on curve secp256k1');
    return whatToSign(eip191Digest(bytes), { join: 'Evm' });
  }
  if (type.scheme === 'ECDSA') {
    throw new CodedError(
      'BAD_REQUEST',
      'an ECDSA key signs a Message only for EVM chains: name a network or blockchainKind, or sign the hash with kind Hash',
    );
  }
  if (bytes.length === 0) throw new CodedError('BAD_REQUEST', 'message must not be empty');
  if (bytes.length > protocolLimits.maxMessageBytes) {
    throw new CodedError('BAD_REQUEST', `message is longer than ${protocolLimits.maxMessageBytes} bytes`);
  }
  return whatToSign(bytes, plainFormat(family));
}

function transaction(bytes: Buffer, publicKey: string, family: ChainFamily | undefined): WhatToSign {
  switch (family) {
    case 'Evm':
      return whatToSign(evmTransactionDigest(bytes), { join: 'EvmTransaction', transaction: bytes.toString('hex') });
    case 'Solana':
      return whatToSign(solanaMessage(bytes, publicKey), {
        join: 'SolanaTransaction',
        transaction: bytes.toString('hex'),
      });
    case 'Other':
      throw unsupported('Transaction', 'this network');
    case undefined:
      throw new CodedError('BAD_REQUEST', 'kind Transaction needs network or blockchainKind');
    default:
      throw family satisfies never;
  }
}

function formatted(format: SignatureFormat | undefined, signature: Signature): AnswerSignature {
  switch (format?.join) {
    case undefined:
      return answerSignature(signature);
    case 'Evm':
    case 'EvmTransaction':
      return evmSignature(signature);
    case 'Solana':
    case 'SolanaTransaction':
      return solanaSignature(signature);
    default:
      throw format satisfies never;
  }
}

function signedDataOf(
  format: SignatureFormat | undefined,
  signature: Signature,
  publicKey: string,
): string | undefined {
  if (format?.join === 'EvmTransaction') return evmSignedData(Buffer.from(format.transaction, 'hex'), signature);
  if (format?.join === 'SolanaTransaction')
    return solanaSignedData(Buffer.from(format.transaction, 'hex'), signature, publicKey);
  return undefined;
}

/** A signature is written as the chain does only where the request named the chain. */
function plainFormat(family: ChainFamily | undefined): SignatureFormat | undefined {
  return family === 'Evm' || family === 'Solana' ? { join: family } : undefined;
}

function chainFamily({ body, network }: SigningContext): ChainFamily | undefined {
  const named = [network, body.network].filter((name) => name !== undefined).map(knownFamily);
  const kind: BlockchainKind | undefined = body.blockchainKind;
  const families = new Set(kind === undefined ? named : [...named, familyOfKind(kind)]);
  if (families.size > 1)
    throw new CodedError('BAD_REQUEST', 'network and blockchainKind name different kinds of chains');
  return [...families][0];
}

function knownFamily(network: string): ChainFamily {
  const family = familyOfNetwork(network);
  if (family === undefined) throw new CodedError('BAD_REQUEST', `network ${network} is not known`);
  return family;
}

function requireFit(type: KeyType, family: ChainFamily | undefined): void {
  const needed = family === 'Evm' ? 'secp256k1' : family === 'Solana' ? 'ed25519' : undefined;
  if (needed !== undefined && type.curve !== needed) {
    throw new CodedError(
      'BAD_REQUEST',
      `${family === 'Evm' ? 'EVM chains' : 'Solana'} need a key on curve ${needed}; this one is on ${type.curve}`,
    );
  }
}

function whatToSign(digest: Buffer, format: SignatureFormat | undefined): WhatToSign {
  return { digests: [digest], ...(format === undefined ? {} : { format }) };
}

function unsupported(kind: string, where: string): CodedError {
  return new CodedError('UNSUPPORTED', `kind ${kind} for ${where}; sign the hash with kind Hash`);
}
