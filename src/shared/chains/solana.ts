import { getTransactionDecoder, getTransactionEncoder, type Transaction } from '@solana/transactions';
import type { Signature } from '../driver-protocol.ts';
import { CodedError } from '../errors.ts';
import { type AnswerSignature, answerSignature } from './answer-signature.ts';
import { hexOfBytes } from './hex-text.ts';

/**
 * Solana transactions, legacy and version 0, in wire format: the signatures of all signers (64 bytes each, zeros where
 * one is missing), then the message that they sign.
 */

/** What the wire allows (the size of one packet). */
const maxTransactionBytes = 1232;

/**
 * @param publicKey of the key that is to sign, 32 bytes hex.
 * @returns the message part.
 * @throws BAD_REQUEST
 */
export function solanaMessage(transaction: Buffer, publicKey: string): Buffer {
  const { messageBytes, signatures } = readTransaction(transaction);
  signerIndex(messageBytes, Object.keys(signatures).length, publicKey);
  return Buffer.from(messageBytes);
}

/** The transaction with the signature in the signer's place, 0x hex; the other signatures stay as they came. */
export function solanaSignedData(transaction: Buffer, signature: Signature, publicKey: string): string {
  const { messageBytes, signatures } = readTransaction(transaction);
  const signers = Object.keys(signatures).length;
  const signed = Buffer.from(transaction);
  // The signatures stand right before the message.
  const firstSignature = transaction.length - messageBytes.length - signers * 64;
  Buffer.from(signature.rs, 'hex').copy(signed, firstSignature + 64 * signerIndex(messageBytes, signers, publicKey));
  return hexOfBytes(signed);
}

/** `encoded` is r‖s, 64 bytes. */
export function solanaSignature(signature: Signature): AnswerSignature {
  return answerSignature(signature, `0x${signature.rs}`);
}

function readTransaction(bytes: Buffer): Transaction {
  if (bytes.length > maxTransactionBytes) throw malformed(`it is longer than ${maxTransactionBytes} bytes`);
  let transaction: Transaction;
  let canonical: Uint8Array;
  try {
    transaction = getTransactionDecoder().decode(bytes);
    canonical = getTransactionEncoder().encode(transaction) as Uint8Array;
  } catch (error) {
    throw malformed((error as Error).message);
  }
  // Catches what the decoder lets pass: a longer form of the count, a signer named twice, bytes after the end.
  if (!bytes.equals(canonical)) throw malformed('it is not in canonical form');
  const version = transaction.messageBytes[0] as number;
  if (version > 0x80) throw malformed(`version ${version & 0x7f} is not supported`);
  return transaction;
}

/** The signers are the first addresses of the message. */
function signerIndex(message: ArrayLike<number>, signers: number, publicKey: string): number {
  const bytes = Buffer.from(message as Uint8Array);
  const header = (bytes[0] as number) & 0x80 ? 1 : 0;
  const addresses = skipCompactU16(bytes, header + 3);
  for (let index = 0; index < signers; index += 1) {
    const start = addresses + index * 32;
    if (bytes.toString('hex', start, start + 32) === publicKey) return index;
  }
  throw new CodedError('BAD_REQUEST', 'this key is not a signer of the transaction');
}

/** The place after a compact-u16: seven bits a byte, the highest bit says that more follow. */
function skipCompactU16(bytes: Buffer, at: number): number {
  let next = at;
  while ((bytes[next] as number) & 0x80) next += 1;
  return next + 1;
}

function malformed(why: string): CodedError {
  return new CodedError('BAD_REQUEST', `the transaction cannot be read: ${why}`);
}
