import { z } from 'zod';
import { type SignatureKind, signatureKinds } from '../chains/signature-body.ts';
import { database, log, name, operations, operators, path, slot } from './sections.ts';

/** Where a node asks for work. */
const api = z.strictObject({
  addresses: z
    .array(z.url({ protocol: /^https$/ }))
    .min(1)
    .describe(
      'Origins of the API’s driver listener, e.g. https://signing.example:8444; the next one is used when one fails',
    ),
  caFile: path.describe('CA of the API’s certificate'),
  certificateFile: path.describe('The node’s client certificate'),
  privateKeyFile: path.describe('Secret file with its private key'),
});
export type ApiAccess = z.infer<typeof api>;

const rotation = z.strictObject({
  keysPerSecond: z
    .number()
    .min(0.1)
    .max(100_000)
    .default(25)
    .describe('Most keys that are re-wrapped in a second: the HSM and the database have other work'),
});

/** `hsm-driver run`: one node of the driver. */
export const driverConfiguration = z
  .strictObject({
    kind: z.literal('driver').describe('What this file configures'),
    node: name.describe('The node’s name: the common name of its client certificate, on the API’s list'),
    keyStore: name.describe('The key store that this node’s HSMs and database belong to'),
    api: api.optional().describe('Where this node asks for work; every node has it but a rotation node'),
    rotation: rotation
      .optional()
      .describe(
        'Makes this a rotation node instead: its slots re-wrap stored keys from the master keys of furtherCeremonyFiles to that of ceremonyFile, and sign for nobody. Its token was filled by `hsm-driver ceremony next-master-key`; the node has no access to the API',
      ),
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
    authorisation: z
      .strictObject({
        mode: z
          .enum(['off', 'report', 'enforce'])
          .default('off')
          .describe(
            'Whether this node itself checks that a pinned credential of the organisation authorised exactly what is asked: `off` (the signing API is believed), `report` (checked, counted and logged, and carried out all the same) or `enforce`. The same on all nodes of a key store',
          ),
        maxAgeMs: z
          .int()
          .min(60_000)
          .max(86_400_000)
          .default(900_000)
          .describe(
            'Oldest authorisation that is carried out, by this node’s clock, from the making of the challenge. Above the API’s signTtlMs and the seven minutes that a caller has to sign and to send',
          ),
        primary: z
          .boolean()
          .default(true)
          .describe(
            'Whether key requests that name no key store are for this one: as `primary` has it at the API. False on the nodes of every other key store behind the same API, or one authorisation could make a key in each',
          ),
        leastListVersion: z
          .int()
          .min(1)
          .default(1)
          .describe(
            'Lists of credentials of lower versions are not believed. A node remembers the newest list that it saw in its state directory; raise this before a node starts with an empty one, so that a database that was tampered with cannot show it an old list',
          ),
      })
      .prefault({})
      .describe('Whether the signing API must prove that the caller wants what it asks for'),
    allowedKinds: z
      .array(z.enum(signatureKinds as [SignatureKind, ...SignatureKind[]]))
      .min(1)
      .optional()
      .describe(
        'Kinds of signature bodies that this key store signs, e.g. all but Hash, which nobody can read; a Message of an EdDSA key must then be text. Keys made meanwhile carry the list in their tagged row, for ever. Default: all',
      ),
    maintenance: z
      .strictObject({
        pollSeconds: z
          .number()
          .min(0.5)
          .max(60)
          .default(15)
          .describe(
            'How often this node looks for maintenance jobs, due schedules and jobs of nodes that died; 10 to 30 in production',
          ),
        keyAuditDays: z
          .number()
          .min(0.01)
          .max(365)
          .default(7)
          .describe('Within this time every stored key is opened and checked once. The same on all nodes'),
        journalDays: z
          .int()
          .min(30)
          .max(36_500)
          .default(400)
          .describe(
            'Rows of the journal are kept for this long: longer than the API remembers requests (queue.rememberDays), so that no request is signed twice even by an API that was restored from a backup. The same on all nodes',
          ),
        backupMaxAgeHours: z
          .number()
          .min(1)
          .max(8_760)
          .optional()
          .describe('An older last backup is an alarm; without it nobody is told. The same on all nodes'),
      })
      .prefault({})
      .describe('Jobs that run once in the whole cluster, on whichever node is able; see docs/maintenance.md'),
    log,
  })
  .refine(({ api, rotation }) => (api === undefined) !== (rotation === undefined), {
    path: ['api'],
    message: 'a node has either api, or rotation where it is a rotation node',
  })
  .refine(({ authorisation, operators }) => authorisation.mode === 'off' || operators !== undefined, {
    path: ['operators'],
    message: 'lists of credentials need operators: they are who approves them',
  });
export type DriverConfiguration = z.infer<typeof driverConfiguration>;
