import { keccak_256 } from '@noble/hashes/sha3.js';
import { addr, authorization } from 'micro-eth-signer';
import type { Signature } from '../driver-protocol.ts';
import { CodedError } from '../errors.ts';
import { type AnswerSignature, answerSignature } from './answer-signature.ts';
import { readEvmTransaction, signedEvmTransaction } from './evm-transaction.ts';
import { hexOfBytes } from './hex-text.ts';

/** What EVM chains sign, with secp256k1: digests of 32 bytes by Keccak-256. */

/** EIP-191, version 0x45 ("E"), as personal_sign: prefix, decimal length in bytes, message. */
export function eip191Digest(message: Buffer): Buffer {
  const prefix = Buffer.from(`\x19Ethereum Signed Message:\n${message.length}`, 'utf8');
  return Buffer.from(keccak_256(Buffer.concat([prefix, message])));
}

/**
 * Over the bytes as they were given: canonical RLP has only one form, so these are the bytes the chain will hash.
 * @throws BAD_REQUEST
 */
export function evmTransactionDigest(transaction: Buffer): Buffer {
  readEvmTransaction(transaction);
  return Buffer.from(keccak_256(transaction));
}

export interface Eip7702Authorisation {
  /** The contract whose code the account is to run; 0x and 40 hex digits. */
  readonly address: string;
  readonly nonce: number;
  /** 0 means any chain. */
  readonly chainId: number;
}

/**
 * EIP-7702: keccak256(0x05 ‖ rlp([chainId, address, nonce])).
 * @throws BAD_REQUEST
 */
export function eip7702Digest({ address, nonce, chainId }: Eip7702Authorisation): Buffer {
  if (!addr.isValid(address)) throw new CodedError('BAD_REQUEST', 'address has the wrong checksum (EIP-55)');
  return Buffer.from(authorization.getHash({ chainId: BigInt(chainId), address, nonce: BigInt(nonce) }));
}

/** `encoded` is r‖s‖v, 65 bytes, v = 27 + recid. */
export function evmSignature(signature: Signature): AnswerSignature {
  return answerSignature(signature, `0x${signature.rs}${(27 + recidOf(signature)).toString(16)}`);
}

/** The signed transaction, 0x hex. */
export function evmSignedData(transaction: Buffer, signature: Signature): string {
  const [r, s] = [signature.rs.slice(0, 64), signature.rs.slice(64)].map((half) => BigInt(`0x${half}`)) as [
    bigint,
    bigint,
  ];
  return hexOfBytes(signedEvmTransaction(readEvmTransaction(transaction), r, s, recidOf(signature)));
}

function recidOf(signature: Signature): 0 | 1 {
  if (signature.recid === undefined) throw new RangeError('a secp256k1 signature came without its recid');
  return signature.recid;
}
