import { p2pkh, p2sh, p2wpkh, SigHash, Transaction } from '@scure/btc-signer';
import { getPrevOut } from '@scure/btc-signer/transaction.js';
import { equalBytes } from '@scure/btc-signer/utils.js';
import type { Signature } from '../driver-protocol.ts';
import { CodedError } from '../errors.ts';
import { witnessSignature } from './bitcoin-signature.ts';
import { hexOfBytes } from './hex-text.ts';

/**
 * Partially signed Bitcoin transactions (BIP 174, and BIP 370's version 2): the inputs that spend P2WPKH outputs of one
 * key are signed, all of them or none, with SIGHASH_ALL over BIP 143's digest. Others’ inputs are left as they came.
 */
export interface PsbtInput {
  readonly index: number;
  readonly digest: Buffer;
}

/** BIP 143 hashes all inputs and outputs once per signature; more than this is not one person's payment. */
const maxHashedParts = 100_000;
/** As many digests as one request of the driver protocol has. */
const maxSignatures = 256;

/**
 * What this key is to sign.
 * @param publicKey compressed, hex.
 * @throws BAD_REQUEST, UNSUPPORTED
 */
export function psbtInputs(psbt: Buffer, publicKey: string): PsbtInput[] {
  const transaction = readPsbt(psbt);
  const own = ownScripts(publicKey);
  const inputs: { index: number; amount: bigint }[] = [];
  for (let index = 0; index < transaction.inputsLength; index += 1) {
    const amount = amountToSign(transaction, index, own);
    if (amount !== undefined) inputs.push({ index, amount });
  }
  if (inputs.length === 0)
    throw new CodedError('BAD_REQUEST', 'no input of the PSBT spends a P2WPKH output of this key, or all are final');
  requireBounds(transaction, inputs.length);
  requireNoMoreThanSpent(transaction);
  return inputs.map(({ index, amount }) => ({
    index,
    digest: Buffer.from(transaction.preimageWitnessV0(index, own.scriptCode, SigHash.ALL, amount)),
  }));
}

/**
 * The PSBT with a partial signature in each of these inputs, 0x hex; not finalised, as the Dfns API answers it.
 * @param indexes of the inputs, in the order of the signatures.
 */
export function signedPsbt(
  psbt: Buffer,
  indexes: readonly number[],
  signatures: readonly Signature[],
  publicKey: string,
): string {
  const transaction = readPsbt(psbt);
  const key = bytesOf(publicKey);
  if (indexes.length !== signatures.length)
    throw new RangeError('a PSBT with another number of signatures than inputs');
  indexes.forEach((index, at) => {
    transaction.updateInput(index, { partialSig: [[key, witnessSignature(signatures[at] as Signature)]] }, true);
  });
  return hexOfBytes(transaction.toPSBT());
}

interface OwnScripts {
  readonly p2wpkh: Uint8Array;
  /** Of outputs that the same key could spend in ways that are not supported. */
  readonly others: readonly Uint8Array[];
  /** BIP 143: that of P2PKH. */
  readonly scriptCode: Uint8Array;
}

function ownScripts(publicKey: string): OwnScripts {
  const key = bytesOf(publicKey);
  const witness = p2wpkh(key);
  const scriptCode = p2pkh(key).script;
  return { p2wpkh: witness.script, others: [scriptCode, p2sh(witness).script], scriptCode };
}

/** @returns the amount, which BIP 143 signs, of an input that this key is to sign; `undefined` for others. */
function amountToSign(transaction: Transaction, index: number, own: OwnScripts): bigint | undefined {
  const input = transaction.getInput(index);
  if (input.finalScriptWitness?.length || input.finalScriptSig?.length) return undefined;
  if (input.witnessUtxo === undefined && input.nonWitnessUtxo === undefined) return undefined;
  const { script, amount } = getPrevOut(input);
  if (own.others.some((other) => equalBytes(other, script)))
    throw new CodedError('UNSUPPORTED', `input ${index} spends an output of this key that is not P2WPKH`);
  if (!equalBytes(own.p2wpkh, script)) return undefined;
  // A signature that is there may be for other inputs or outputs than those of now.
  if (input.partialSig?.length) throw new CodedError('BAD_REQUEST', `input ${index} is signed already`);
  if (input.sighashType !== undefined && input.sighashType !== SigHash.ALL)
    throw new CodedError('UNSUPPORTED', `input ${index} asks for another sighash type than ALL`);
  return amount;
}

function requireBounds({ inputsLength, outputsLength }: Transaction, signatures: number): void {
  if (signatures > maxSignatures)
    throw new CodedError('BAD_REQUEST', `the PSBT has more than ${maxSignatures} inputs of this key`);
  if (signatures * (inputsLength + outputsLength) > maxHashedParts)
    throw new CodedError('BAD_REQUEST', 'the PSBT has too many inputs and outputs');
}

/** Where every amount is known. No chain takes such a transaction: an amount in the PSBT is wrong. */
function requireNoMoreThanSpent(transaction: Transaction): void {
  let left = 0n;
  for (let index = 0; index < transaction.inputsLength; index += 1) {
    const input = transaction.getInput(index);
    if (input.witnessUtxo === undefined && input.nonWitnessUtxo === undefined) return;
    left += getPrevOut(input).amount;
  }
  for (let index = 0; index < transaction.outputsLength; index += 1) left -= transaction.getOutput(index).amount ?? 0n;
  if (left < 0n) throw new CodedError('BAD_REQUEST', 'the outputs of the PSBT are worth more than its inputs');
}

function readPsbt(psbt: Buffer): Transaction {
  try {
    // A previous transaction that does not have the id it is given for is refused in here.
    return Transaction.fromPSBT(Uint8Array.from(psbt), {
      // Others' inputs, outputs and fields come back as they came.
      unknown: 'ignore',
      allowUnknownOutputs: true,
      allowUnknownInputs: true,
      disableScriptCheck: true,
      allowMissingTxModifiable: false,
    });
  } catch (error) {
    throw new CodedError('BAD_REQUEST', `the PSBT cannot be read: ${(error as Error).message.slice(0, 200)}`);
  }
}

function bytesOf(publicKey: string): Uint8Array {
  return Uint8Array.from(Buffer.from(publicKey, 'hex'));
}
