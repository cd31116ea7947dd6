import { createHmac, timingSafeEqual } from 'node:crypto';
import { lengthPrefixed } from '../../shared/crypto/length-prefixed.ts';

/**
 * Stateless tokens: `base64url(JSON) . base64url(HMAC-SHA-256)`, so that every API process that has the shared secret
 * can read what another one wrote. The purpose is part of what is authenticated: a token of one purpose is never taken
 * for another.
 */
export type SealPurpose = 'challenge identifier' | 'user action' | 'credential registration';

export function seal(secret: Buffer, purpose: SealPurpose, claims: unknown): string {
  const content = Buffer.from(JSON.stringify(claims), 'utf8');
  return `${content.toString('base64url')}.${sealOf(secret, purpose, content).toString('base64url')}`;
}

/** The claims, `undefined` for anything this secret did not seal for this purpose. Says nothing about expiry. */
export function unseal(secret: Buffer, purpose: SealPurpose, token: string): unknown {
  const [content, proof, ...rest] = token.split('.').map((part) => Buffer.from(part, 'base64url'));
  if (content === undefined || proof === undefined || rest.length > 0) return undefined;
  const expected = sealOf(secret, purpose, content);
  if (proof.length !== expected.length || !timingSafeEqual(proof, expected)) return undefined;
  return JSON.parse(content.toString('utf8'));
}

function sealOf(secret: Buffer, purpose: SealPurpose, content: Buffer): Buffer {
  return createHmac('sha256', secret)
    .update(lengthPrefixed([`hsm-driver ${purpose} v1`, content]))
    .digest();
}
