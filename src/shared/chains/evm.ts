import { keccak_256 } from '@noble/hashes/sha3.js';
import type { Signature } from '../driver-protocol.ts';
import { type AnswerSignature, answerSignature } from './answer-signature.ts';
import { readEvmTransaction, signedEvmTransaction } from './evm-transaction.ts';
import { hexOfBytes } from './hex-text.ts';

/** What EVM chains sign, with secp256k1: digests of 32 bytes by Keccak-256. */

export function keccak256(bytes: Uint8Array): Buffer {
  return Buffer.from(keccak_256(bytes));
}

/** EIP-191, version 0x45 ("E"), as personal_sign: prefix, decimal length in bytes, message. */
export function eip191Digest(message: Buffer): Buffer {
  return keccak256(Buffer.concat([Buffer.from(`\x19Ethereum Signed Message:\n${message.length}`, 'utf8'), message]));
}

/**
 * Over the bytes as they were given: canonical RLP has only one form, so these are the bytes the chain will hash.
 * @throws BAD_REQUEST, UNSUPPORTED
 */
export function evmTransactionDigest(transaction: Buffer): Buffer {
  readEvmTransaction(transaction);
  return keccak256(transaction);
}

/** `encoded` is r‖s‖v, 65 bytes, v = 27 + recid. */
export function evmSignature(signature: Signature): AnswerSignature {
  return answerSignature(signature, `0x${signature.rs}${(27 + recidOf(signature)).toString(16)}`);
}

/** The signed transaction, 0x hex. */
export function evmSignedData(transaction: Buffer, signature: Signature): string {
  const rs = Buffer.from(signature.rs, 'hex');
  return hexOfBytes(
    signedEvmTransaction(readEvmTransaction(transaction), rs.subarray(0, 32), rs.subarray(32), recidOf(signature)),
  );
}

function recidOf(signature: Signature): 0 | 1 {
  if (signature.recid === undefined) throw new RangeError('a secp256k1 signature came without its recid');
  return signature.recid;
}
