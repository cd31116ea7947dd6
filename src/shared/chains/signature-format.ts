import { z } from 'zod';

/**
 * How signatures are joined into the answer: plain JSON that is stored with the request, so that any process can give
 * the same answer later from the row alone. No format: r and s only.
 */
const transaction = z.string().regex(/^([0-9a-f]{2})+$/);

export const signatureFormat = z.discriminatedUnion('join', [
  z.object({ join: z.literal('Evm') }),
  z.object({ join: z.literal('EvmTransaction'), transaction }),
  z.object({ join: z.literal('Solana') }),
  z.object({ join: z.literal('SolanaTransaction'), transaction }),
]);
export type SignatureFormat = z.infer<typeof signatureFormat>;
