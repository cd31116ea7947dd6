import { z } from 'zod';

const hashText = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

/** A head as it is written down and sent; what is signed, and whether it holds, is in head.ts. */
export const signedHead = z.object({
  chain: z.uuid(),
  sequence: z.int().min(1),
  /** base64url of 32 bytes. */
  hash: hashText,
  /** base64url of r‖s, 64 bytes. */
  signature: z.string().regex(/^[A-Za-z0-9_-]{86}$/),
});
export type SignedHead = z.infer<typeof signedHead>;
