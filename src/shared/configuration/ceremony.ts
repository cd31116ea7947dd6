import { z } from 'zod';
import { log, name, operators, path, token } from './sections.ts';

/** `hsm-driver ceremony`: the tokens that receive one new master key. */
export const ceremonyConfiguration = z.strictObject({
  kind: z.literal('ceremony').describe('What this file configures'),
  keyStore: name.describe('The key store that the tokens will serve'),
  ceremonyFile: path.describe('Where the protocol file is written; refused when it exists'),
  tokens: z.array(token).min(1).describe('The tokens that receive the new master key; the first makes it'),
  operators,
  log,
});
export type CeremonyConfiguration = z.infer<typeof ceremonyConfiguration>;
