import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { Signature } from '../driver-protocol.ts';
import { type AnswerSignature, answerSignature } from './answer-signature.ts';

/** Strict DER (BIP 66), 70 to 72 bytes or a few less; without the sighash byte. */
export function derSignature(signature: Signature): Uint8Array {
  return secp256k1.Signature.fromBytes(Uint8Array.from(Buffer.from(signature.rs, 'hex')), 'compact').toBytes('der');
}

/** As a witness has it: DER, then SIGHASH_ALL. */
export function witnessSignature(signature: Signature): Uint8Array {
  return Uint8Array.from([...derSignature(signature), 0x01]);
}

/** `encoded` is DER, without the sighash byte. */
export function bitcoinSignature(signature: Signature): AnswerSignature {
  return answerSignature(signature, `0x${Buffer.from(derSignature(signature)).toString('hex')}`);
}
