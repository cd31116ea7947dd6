import { z } from 'zod';

/** Fields that several answers have. */
export const date = z.string().describe('ISO 8601, UTC, with milliseconds');
export const status = z.enum(['Active', 'Archived']);
export const scheme = z.enum(['ECDSA', 'EdDSA']);
export const curve = z.enum(['secp256k1', 'ed25519', 'P-256']);
export const publicKey = z.string().describe('Hex without 0x; secp256k1 compressed');
