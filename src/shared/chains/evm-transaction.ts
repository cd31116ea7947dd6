import { AggregatedError, Transaction } from 'micro-eth-signer';
import { CodedError } from '../errors.ts';

/**
 * Unsigned EVM transactions: legacy (with or without EIP-155's chain id), EIP-2930, EIP-1559, EIP-4844 (without its
 * blobs) and EIP-7702. What is signed is always a transaction, and its only encoding: the bytes that were given are the
 * bytes that the library writes for the fields it read.
 */
export type EvmTransaction = ReturnType<typeof Transaction.fromBytes>;

/** What nodes take into their pools (go-ethereum's txMaxSize); reading much longer access lists would take seconds. */
const maxTransactionBytes = 131_072;

/** @throws BAD_REQUEST */
export function readEvmTransaction(bytes: Buffer): EvmTransaction {
  const transaction = parsed(bytes);
  if (transaction.isSigned) throw malformed('it is signed already');
  if (transaction.type === 'legacy' && chainIdOf(transaction) === 0n) throw malformed('its chain id is 0');
  // EIP-4844 and EIP-7702 transactions make no contracts.
  if ((transaction.type === 'eip4844' || transaction.type === 'eip7702') && transaction.raw.to === '0x')
    throw malformed(`an ${transaction.type} transaction needs a recipient`);
  return transaction;
}

/** @returns the signed transaction's bytes: exactly the given fields, and the signature. */
export function signedEvmTransaction(transaction: EvmTransaction, r: bigint, s: bigint, recid: 0 | 1): Uint8Array {
  const raw = { ...transaction.raw, r, s, yParity: recid } as EvmTransaction['raw'];
  return new Transaction(transaction.type, raw, { strict: false }).toBytes({ includeSignature: true });
}

function parsed(bytes: Buffer): EvmTransaction {
  if (bytes.length === 0) throw malformed('it is empty');
  if (bytes.length > maxTransactionBytes) throw malformed(`it is longer than ${maxTransactionBytes} bytes`);
  let transaction: EvmTransaction;
  let canonical: Uint8Array;
  try {
    transaction = Transaction.fromBytes(Uint8Array.from(bytes));
    canonical = transaction.toBytes();
  } catch (error) {
    throw malformed(reasonOf(error));
  }
  // Nothing that the reader may have let pass is signed.
  if (!bytes.equals(canonical)) throw malformed('it is not in canonical form');
  return transaction;
}

function chainIdOf({ raw }: EvmTransaction): bigint | undefined {
  return 'chainId' in raw ? raw.chainId : undefined;
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregatedError)
    return error.errors.map(({ field, error: reason }) => `${field}: ${reason}`).join('; ');
  return (error as Error).message;
}

function malformed(why: string): CodedError {
  // A library's reason may quote what it was given, at any length.
  return new CodedError('BAD_REQUEST', `the transaction cannot be read: ${why.slice(0, 200)}`);
}
