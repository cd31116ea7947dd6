import type { Signature } from '../driver-protocol.ts';
import type { KeyType } from '../keys.ts';
import type { JoinedSignatures } from './answer-signature.ts';
import { bip322Digest } from './bitcoin-message.ts';
import { psbtInputs } from './bitcoin-psbt.ts';
import { type ChainContext, chainContext, requireCurve } from './chain-context.ts';
import { eip191Digest, eip7702Digest, evmTransactionDigest } from './evm.ts';
import { eip712Digest } from './evm-typed-data.ts';
import { hashToSign } from './hash.ts';
import { bytesOfHex } from './hex-text.ts';
import { joined } from './joined-signatures.ts';
import { messageToSign } from './message.ts';
import { badRequest, unsupportedKind } from './refusals.ts';
import type { SignatureBody } from './signature-body.ts';
import { type SignatureFormat, signatureFormat } from './signature-format.ts';
import { solanaMessage } from './solana.ts';

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
export function digestsToSign({ body, type, publicKey, network }: SigningContext): WhatToSign {
  const context = chainContext(body, network);
  requireCurve(type, context.family, context.named);
  switch (body.kind) {
    case 'Hash':
      return whatToSign(hashToSign(body.hash), plainFormat(context));
    case 'Message':
      return message(body, type, context);
    case 'Transaction':
      return transaction(body, publicKey, context);
    case 'Eip191':
      requireChain('Evm', body.kind, type, context);
      return whatToSign(eip191Digest(bytesOfHex(body.message, 'message')), { join: 'Evm' });
    case 'Eip712':
      requireChain('Evm', body.kind, type, context);
      return whatToSign(eip712Digest(body), { join: 'Evm' });
    case 'Eip7702':
      requireChain('Evm', body.kind, type, context);
      return whatToSign(eip7702Digest(body), { join: 'Evm' });
    case 'Psbt':
      requireChain('Bitcoin', body.kind, type, context);
      return psbt(bytesOfHex(body.psbt, 'psbt'), publicKey);
    case 'Bip322': {
      requireChain('Bitcoin', body.kind, type, context);
      const bytes = bytesOfHex(body.message, 'message');
      const format = body.format ?? 'Simple';
      return whatToSign(bip322Digest(bytes, publicKey), {
        join: 'BitcoinMessage',
        message: bytes.toString('hex'),
        format,
      });
    }
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
  return joined(known, signatures, publicKey);
}

type Body<Kind extends SignatureBody['kind']> = Extract<SignatureBody, { kind: Kind }>;

function message({ kind, message }: Body<'Message'>, type: KeyType, { family, named }: ChainContext): WhatToSign {
  const bytes = bytesOfHex(message, 'message');
  switch (family) {
    case 'Evm':
      return whatToSign(eip191Digest(bytes), { join: 'Evm' });
    case 'Solana':
    case undefined:
      return whatToSign(messageToSign(bytes, type), family === undefined ? undefined : { join: family });
    case 'Bitcoin':
      throw unsupportedKind(kind, named, 'use kind Bip322');
    case 'Unformatted':
      throw unsupportedKind(kind, named);
    default:
      throw family satisfies never;
  }
}

function transaction(body: Body<'Transaction'>, publicKey: string, { family, named }: ChainContext): WhatToSign {
  const bytes = bytesOfHex(body.transaction, 'transaction');
  const transaction = bytes.toString('hex');
  switch (family) {
    case 'Evm':
      return whatToSign(evmTransactionDigest(bytes), { join: 'EvmTransaction', transaction });
    case 'Solana':
      return whatToSign(solanaMessage(bytes, publicKey), { join: 'SolanaTransaction', transaction });
    case 'Bitcoin':
      throw unsupportedKind(body.kind, named, 'use kind Psbt');
    case 'Unformatted':
      throw unsupportedKind(body.kind, named);
    case undefined:
      throw badRequest('kind Transaction needs network or blockchainKind');
    default:
      throw family satisfies never;
  }
}

function psbt(bytes: Buffer, publicKey: string): WhatToSign {
  const inputs = psbtInputs(bytes, publicKey);
  return {
    digests: inputs.map(({ digest }) => digest),
    format: { join: 'BitcoinPsbt', psbt: bytes.toString('hex'), inputs: inputs.map(({ index }) => index) },
  };
}

/** For kinds that belong to one family of chains: they name it by themselves, and fit no other. */
function requireChain(
  needed: 'Evm' | 'Bitcoin',
  kind: SignatureBody['kind'],
  type: KeyType,
  { family, named }: ChainContext,
): void {
  if (family !== undefined && family !== needed) throw unsupportedKind(kind, named);
  requireCurve(type, needed, `kind ${kind}`);
}

/** A signature is written as the chain does only where the request named the chain. */
function plainFormat({ family }: ChainContext): SignatureFormat | undefined {
  return family === undefined || family === 'Unformatted' ? undefined : { join: family };
}

function whatToSign(digest: Buffer, format: SignatureFormat | undefined): WhatToSign {
  return { digests: [digest], ...(format === undefined ? {} : { format }) };
}
