import type { Signature } from '../driver-protocol.ts';
import { type AnswerSignature, answerSignature, type JoinedSignatures } from './answer-signature.ts';
import { bip322SignedData } from './bitcoin-message.ts';
import { signedPsbt } from './bitcoin-psbt.ts';
import { bitcoinSignature } from './bitcoin-signature.ts';
import { evmSignature, evmSignedData } from './evm.ts';
import type { SignatureFormat } from './signature-format.ts';
import { solanaSignature, solanaSignedData } from './solana.ts';

/**
 * The answer to a signature request, from what is stored with it.
 * @param signatures one for each digest, in their order; at least one.
 */
export function joined(
  format: SignatureFormat | undefined,
  signatures: readonly Signature[],
  publicKey: string,
): JoinedSignatures {
  const [raw] = signatures;
  if (raw === undefined) throw new RangeError('a signed request without signatures');
  const [first, ...others] = signatures.map((signature) => formatted(format, signature)) as [
    AnswerSignature,
    ...AnswerSignature[],
  ];
  const signedData = signedDataOf(format, signatures, raw, publicKey);
  // The Dfns API lists a PSBT's signatures even where there is one.
  const several = others.length > 0 || format?.join === 'BitcoinPsbt';
  return {
    signature: first,
    ...(several ? { signatures: [first, ...others] } : {}),
    ...(signedData === undefined ? {} : { signedData }),
  };
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
    case 'Bitcoin':
    case 'BitcoinPsbt':
    case 'BitcoinMessage':
      return bitcoinSignature(signature);
    default:
      throw format satisfies never;
  }
}

function signedDataOf(
  format: SignatureFormat | undefined,
  signatures: readonly Signature[],
  first: Signature,
  publicKey: string,
): string | undefined {
  switch (format?.join) {
    case undefined:
    case 'Evm':
    case 'Solana':
    case 'Bitcoin':
      return undefined;
    case 'EvmTransaction':
      return evmSignedData(bytesOf(format.transaction), first);
    case 'SolanaTransaction':
      return solanaSignedData(bytesOf(format.transaction), first, publicKey);
    case 'BitcoinPsbt':
      return signedPsbt(bytesOf(format.psbt), format.inputs, signatures, publicKey);
    case 'BitcoinMessage':
      return bip322SignedData(bytesOf(format.message), format.format, first, publicKey);
    default:
      throw format satisfies never;
  }
}

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}
