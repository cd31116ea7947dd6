import { z } from 'zod';
import { messageFormats } from './bitcoin-message-format.ts';

/**
 * How signatures are joined into the answer: plain JSON that is stored with the request, so that any process can give
 * the same answer later from the row alone. No format: r and s only.
 */
const hexBytes = z.string().regex(/^([0-9a-f]{2})+$/);

export const signatureFormat = z.discriminatedUnion('join', [
  z.object({ join: z.literal('Evm') }),
  z.object({ join: z.literal('EvmTransaction'), transaction: hexBytes }),
  z.object({ join: z.literal('Solana') }),
  z.object({ join: z.literal('SolanaTransaction'), transaction: hexBytes }),
  z.object({ join: z.literal('Bitcoin') }),
  /** `inputs`: the indexes of the inputs that are signed, in the order of the signatures. */
  z.object({ join: z.literal('BitcoinPsbt'), psbt: hexBytes, inputs: z.array(z.int().min(0)).min(1) }),
  z.object({
    join: z.literal('BitcoinMessage'),
    message: z.string().regex(/^([0-9a-f]{2})*$/),
    format: z.enum(messageFormats),
  }),
]);
export type SignatureFormat = z.infer<typeof signatureFormat>;
