import { z } from 'zod';
import { database, log, name, operations, operators, path, port } from './sections.ts';

const listener = {
  host: z.string().min(1).default('0.0.0.0').describe('Address to listen on'),
  port: port.describe('Port to listen on'),
  certificateFile: path.describe('Server certificate with its chain'),
  privateKeyFile: path.describe('Secret file with its private key'),
};

/** `hsm-driver api`: one process of the signing API. Several may share a database. */
export const apiConfiguration = z.strictObject({
  kind: z.literal('api').describe('What this file configures'),
  application: z.strictObject(listener).describe('The listener for applications (the Dfns SDKs)'),
  driver: z
    .strictObject({
      ...listener,
      clientCaFile: path.describe('CA that signs the drivers’ client certificates, and nothing else'),
      nodes: z
        .array(
          z.strictObject({
            name: name.describe('Common name of the node’s client certificate'),
            keyStore: name.describe('The key store that it serves'),
          }),
        )
        .default([])
        .describe('The nodes that may ask for work, beside those that `hsm-driver api driver add` put on the list'),
    })
    .describe('The listener for drivers: mutual TLS; never terminate it in between'),
  database: database.describe('The API’s database, shared by all API processes'),
  userActionSecretFile: path.describe(
    'Secret file, 32 bytes or more, the same for all API processes: authenticates challenges and user-action tokens, and encrypts webhook secrets; after a change, webhooks must be made anew',
  ),
  keyStores: z
    .array(
      z.strictObject({
        id: name.describe('The store’s id, as applications send it in `storeId`'),
        name: z.string().max(100).optional().describe('For people'),
        primary: z
          .boolean()
          .default(false)
          .describe('Keys are made here when an application names no store; exactly one'),
        attestationPublicKey: z
          .string()
          .regex(/^04[0-9a-f]{128}$/, 'an uncompressed P-256 point: 04 and 128 hex digits')
          .describe('`attestationKey.publicKey` of the ceremony file: every public key must carry its attestation'),
      }),
    )
    .min(1)
    .refine((stores) => stores.filter((store) => store.primary).length === 1, 'exactly one key store must be primary')
    .describe('The key stores behind this API'),
  queue: z
    .strictObject({
      openRequestsPerOrganisation: z
        .int()
        .min(1)
        .max(1_000_000)
        .default(2_000)
        .describe('A new request of an organisation with this many open ones is refused with 429'),
      rememberDays: z
        .int()
        .min(30)
        .max(36_500)
        .default(365)
        .describe(
          'Signature requests that ended longer ago are removed: they leave the lists, and their externalId may be used again. Below journalDays of the drivers',
        ),
      priorities: z
        .record(z.string(), z.int().min(-100).max(100))
        .default({})
        .describe('Organisations that go before (above 0) or after (below 0) the others, by id'),
    })
    .prefault({})
    .describe('Who waits how long'),
  holdMs: z
    .int()
    .min(100)
    .max(120_000)
    .default(25_000)
    .describe('How long a POST is held open for its result, in milliseconds'),
  signTtlMs: z
    .int()
    .min(1_000)
    .max(3_600_000)
    .default(300_000)
    .describe('A signature request that is not done after this many milliseconds has failed'),
  rateLimit: z
    .strictObject({
      perSecond: z.int().min(1).default(2_000).describe('Calls per second and bearer token, in each API process'),
      burst: z.int().min(1).default(4_000).describe('Calls that may come at once after a pause'),
    })
    .prefault({})
    .describe('Calls beyond it are answered 429 with Retry-After'),
  webhooks: z
    .strictObject({
      privateAddresses: z
        .boolean()
        .default(false)
        .describe(
          'Deliver to private and loopback addresses too, to loopback also over http; for trying out, and where receivers are inside',
        ),
    })
    .prefault({})
    .describe('Deliveries to the URLs that applications register'),
  operations: operations('this process'),
  operators,
  log,
});
export type ApiConfiguration = z.infer<typeof apiConfiguration>;
