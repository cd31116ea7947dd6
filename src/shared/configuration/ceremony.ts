import { z } from 'zod';
import { log, name, path, slot } from './sections.ts';

/** `hsm-driver ceremony`: the tokens that receive one new master key. The first is the origin. */
export const ceremonyConfiguration = z.strictObject({
  kind: z.literal('ceremony'),
  keyStore: name,
  /** Where the protocol file is written; refused when it exists. */
  ceremonyFile: path,
  tokens: z.array(slot.omit({ sessions: true })).min(1),
  log,
});
export type CeremonyConfiguration = z.infer<typeof ceremonyConfiguration>;
