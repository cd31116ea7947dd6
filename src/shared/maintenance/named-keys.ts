import { z } from 'zod';

/** What `keys verify` gives with the job that it asks for. */
export const namedKeys = z.object({ keyIds: z.array(z.string().min(1).max(64)).min(1).max(1_000) });

/** What the job gives back: src/shared/hsm-work.ts, as it survives JSON. */
export const namedKeysChecked = z.object({
  details: z.array(z.object({ keyId: z.string(), verdict: z.string(), problem: z.string().optional() })),
});
