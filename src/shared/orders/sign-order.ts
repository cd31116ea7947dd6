import { createPrivateKey, type KeyObject, randomUUID, sign } from 'node:crypto';
import { readSecretFile } from '../configuration/secret-file.ts';
import { CodedError } from '../errors.ts';
import { isOperatorKey } from './operators.ts';
import { longestValidityMs, type Order, type SignedOrder } from './order.ts';
import { orderBytes } from './order-bytes.ts';

/** @throws OPTION_INVALID for a validity that no process would accept. */
export function newOrder(
  content: Pick<Order, 'keyStore' | 'about' | 'reason'>,
  validMs: number,
  nowMs = Date.now(),
): SignedOrder {
  if (!(validMs > 0) || validMs > longestValidityMs)
    throw new CodedError('OPTION_INVALID', `an order is valid for up to ${longestValidityMs / 86_400_000} days`);
  const [issuedAt, expiresAt] = [nowMs, nowMs + validMs].map((ms) => new Date(ms).toISOString()) as [string, string];
  return { order: { version: 1, id: randomUUID(), ...content, issuedAt, expiresAt }, signatures: [] };
}

/** Adds an operator’s signature, in place of an older one of the same operator. */
export function signOrder({ order, signatures }: SignedOrder, operator: string, privateKey: KeyObject): SignedOrder {
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const signature = sign(digest, orderBytes(order), privateKey).toString('base64url');
  return { order, signatures: [...signatures.filter((one) => one.operator !== operator), { operator, signature }] };
}

/** @throws SECRET_FILE_* */
export function readOperatorPrivateKey(file: string): KeyObject {
  const pem = readSecretFile(file, 'operator’s private key');
  try {
    const key = createPrivateKey(pem);
    if (!isOperatorKey(key)) throw new Error('it is neither Ed25519 nor P-256');
    return key;
  } catch (cause) {
    throw new CodedError('SECRET_FILE_INVALID', `${file}: ${(cause as Error).message}`, { cause });
  } finally {
    pem.fill(0);
  }
}
