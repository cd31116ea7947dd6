import { sha256 } from '@noble/hashes/sha2.js';
import { p2pkh, p2wpkh, Script, SigHash, Transaction } from '@scure/btc-signer';
import { RawWitness } from '@scure/btc-signer/script.js';
import type { Signature } from '../driver-protocol.ts';
import type { MessageFormat } from './bitcoin-message-format.ts';
import { witnessSignature } from './bitcoin-signature.ts';
import { hexOfBytes } from './hex-text.ts';

/**
 * BIP 322, generic signed messages, for the P2WPKH address of a key: a transaction `to_spend` that nobody can send
 * commits to message and address, and a transaction `to_sign` that spends it is signed.
 * @param publicKey compressed, hex.
 */
export function bip322Digest(message: Buffer, publicKey: string): Buffer {
  const key = bytesOf(publicKey);
  return Buffer.from(toSign(message, key).preimageWitnessV0(0, p2pkh(key).script, SigHash.ALL, 0n));
}

/** Simple: the witness stack. Full: the whole `to_sign`. Both in the network's serialisation, 0x hex. */
export function bip322SignedData(
  message: Buffer,
  format: MessageFormat,
  signature: Signature,
  publicKey: string,
): string {
  const key = bytesOf(publicKey);
  const witness = [witnessSignature(signature), key];
  switch (format) {
    case 'Simple':
      return hexOfBytes(RawWitness.encode(witness));
    case 'Full': {
      const transaction = toSign(message, key);
      transaction.updateInput(0, { finalScriptWitness: witness }, true);
      return hexOfBytes(transaction.toBytes(true, true));
    }
    default:
      throw format satisfies never;
  }
}

const versionZero = { version: 0, lockTime: 0, allowUnknownOutputs: true, allowUnknownInputs: true } as const;

function toSpend(message: Buffer, publicKey: Uint8Array): Transaction {
  const transaction = new Transaction(versionZero);
  // Before the input, which counts as signed.
  transaction.addOutput({ amount: 0n, script: p2wpkh(publicKey).script });
  transaction.addInput({
    txid: new Uint8Array(32),
    index: 0xffffffff,
    sequence: 0,
    finalScriptSig: Script.encode(['OP_0', messageHash(message)]),
  });
  return transaction;
}

function toSign(message: Buffer, publicKey: Uint8Array): Transaction {
  const transaction = new Transaction(versionZero);
  const { id } = toSpend(message, publicKey);
  const script = p2wpkh(publicKey).script;
  transaction.addInput({ txid: id, index: 0, sequence: 0, witnessUtxo: { amount: 0n, script } });
  transaction.addOutput({ amount: 0n, script: Script.encode(['RETURN']) });
  return transaction;
}

/** BIP 340's tagged hash. */
function messageHash(message: Buffer): Uint8Array {
  const tag = sha256(Buffer.from('BIP0322-signed-message', 'utf8'));
  return sha256(Buffer.concat([tag, tag, message]));
}

function bytesOf(publicKey: string): Uint8Array {
  return Uint8Array.from(Buffer.from(publicKey, 'hex'));
}
