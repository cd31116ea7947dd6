import { z } from 'zod';
import { database, log, name, operators, path, token } from './sections.ts';

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

const adoptedKey = (what: string) =>
  z.strictObject({
    label: z.string().min(1).describe(`CKA_LABEL of the ${what} on every token`),
    ckaId: z
      .string()
      .regex(/^([0-9a-f]{2})+$/, 'hex, an even number of digits')
      .describe(`CKA_ID of the ${what} on every token, in hex`),
  });

/** `hsm-driver ceremony`: the tokens that receive one new master key. */
export const ceremonyConfiguration = z.strictObject({
  kind: z.literal('ceremony').describe('What this file configures'),
  keyStore: name.describe('The key store that the tokens will serve'),
  ceremonyFile: path.describe('The protocol file: made by `ceremony create`, extended by every later step'),
  backup: ceremonyToken
    .optional()
    .describe(
      'The offline backup token. It makes the keys and keeps the only copies that can be brought to another token: without it no HSM can ever be added. Needed by `create`, `add-token` and `deliver`; afterwards it goes into a safe',
    ),
  rotation: ceremonyToken
    .optional()
    .describe(
      'The token of the rotation node, freshly initialised. Filled by `next-master-key`, erased when the rotation is over; never a signing token',
    ),
  adopt: z
    .strictObject({
      masterKey: adoptedKey('master key').describe('An AES-256 key that wraps and unwraps only'),
      integrityKey: adoptedKey('integrity key').describe('A generic secret of 32 bytes for HMAC-SHA-256'),
    })
    .optional()
    .describe(
      'For `ceremony adopt`: keys that the vendor’s tools made on one token and cloned to the others. The ceremony moves none and only verifies; backups are the vendor’s',
    ),
  tokens: z
    .array(ceremonyToken)
    .refine((tokens) => new Set(tokens.map((one) => one.name)).size === tokens.length, 'token names must differ')
    .describe('The signing tokens within reach of this machine; `[]` where all of them are on other machines'),
  stateDirectory: path
    .default('state')
    .describe(
      'Directory, made with mode 0700, for what must outlive a step: which PINs were refused, which orders were used. The node’s own where one runs on this machine',
    ),
  database: database
    .optional()
    .describe(
      'The driver database, where there is one: its record of refused PINs is asked before a login. Without it only the state directory is',
    ),
  operators,
  log,
});
export type CeremonyConfiguration = z.infer<typeof ceremonyConfiguration>;
