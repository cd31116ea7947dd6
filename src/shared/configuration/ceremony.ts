import { z } from 'zod';
import { log, name, operators, path, token } from './sections.ts';

/** A token of the ceremony. */
export const ceremonyToken = token.extend({
  allowTierB: z
    .boolean()
    .default(false)
    .describe(
      'Take this token although it does not enforce the master key’s template (tier B of hsm-driver qualify): whoever has its PIN and a wrapped key can then extract that key. Named in the protocol file, and warned of by every worker of the token',
    ),
});
export type CeremonyTokenConfiguration = z.infer<typeof ceremonyToken>;

/** `hsm-driver ceremony`: the tokens that receive one new master key. */
export const ceremonyConfiguration = z.strictObject({
  kind: z.literal('ceremony').describe('What this file configures'),
  keyStore: name.describe('The key store that the tokens will serve'),
  ceremonyFile: path.describe('The protocol file: made by `ceremony create`, extended by every later step'),
  backup: ceremonyToken
    .optional()
    .describe(
      'The offline backup token. It makes the keys and keeps the only copies that can be brought to another token: without it no HSM can ever be added. Needed by `create` and `add-token`; afterwards it goes into a safe',
    ),
  rotation: ceremonyToken
    .optional()
    .describe(
      'The token of the rotation node, freshly initialised. Filled by `next-master-key`, erased when the rotation is over; never a signing token',
    ),
  tokens: z
    .array(ceremonyToken)
    .min(1)
    .refine((tokens) => new Set(tokens.map((one) => one.name)).size === tokens.length, 'token names must differ')
    .describe('The signing tokens'),
  operators,
  log,
});
export type CeremonyConfiguration = z.infer<typeof ceremonyConfiguration>;
