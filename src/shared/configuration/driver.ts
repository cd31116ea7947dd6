import { z } from 'zod';
import { database, log, name, operations, operators, path, slot } from './sections.ts';

/** `hsm-driver run`: one node of the driver. */
export const driverConfiguration = z.strictObject({
  kind: z.literal('driver').describe('What this file configures'),
  node: name.describe('The node’s name: the common name of its client certificate, on the API’s list'),
  keyStore: name.describe('The key store that this node’s HSMs and database belong to'),
  api: z
    .strictObject({
      addresses: z
        .array(z.url({ protocol: /^https$/ }))
        .min(1)
        .describe(
          'Origins of the API’s driver listener, e.g. https://signing.example:8444; the next one is used when one fails',
        ),
      caFile: path.describe('CA of the API’s certificate'),
      certificateFile: path.describe('The node’s client certificate'),
      privateKeyFile: path.describe('Secret file with its private key'),
    })
    .describe('Where this node asks for work'),
  database: database.describe('The driver database: wrapped keys and the journal; one per key store'),
  ceremonyFile: path.describe(
    'The ceremony’s protocol file: pins the attestation key and the canaries of the master key',
  ),
  furtherCeremonyFiles: z
    .array(path)
    .default([])
    .describe(
      'Protocol files of keys that are alive beside it while a key is rotated: the old one, or the one that comes. A slot serves rows of each that its token proves; new keys are made under ceremonyFile',
    ),
  stateDirectory: path
    .default('state')
    .describe(
      'Directory of this node, made with mode 0700, for what must outlive its processes even without a database: which PINs were refused',
    ),
  slots: z
    .array(slot)
    .min(1)
    .refine((slots) => new Set(slots.map((one) => one.name)).size === slots.length, 'slot names must differ')
    .describe('The HSM slots of this node; each gets a worker process'),
  operations: operations('the node'),
  operators,
  log,
});
export type DriverConfiguration = z.infer<typeof driverConfiguration>;
