import { z } from 'zod';
import { database, log, name, path, port } from './sections.ts';

const listener = { host: z.string().min(1).default('0.0.0.0'), port, certificateFile: path, privateKeyFile: path };

/** `hsm-driver api`: one process of the signing API. Several may share a database. */
export const apiConfiguration = z.strictObject({
  kind: z.literal('api'),
  /** For applications (the Dfns SDKs). */
  application: z.strictObject(listener),
  /** For drivers: mutual TLS. */
  driver: z.strictObject({
    ...listener,
    clientCaFile: path,
    /** The nodes that may call, by the common name of their client certificate, and the key store each serves. */
    nodes: z.array(z.strictObject({ name, keyStore: name })).min(1),
  }),
  database,
  /** 32 bytes or more, the same for all API processes: authenticates challenges and user-action tokens. */
  userActionSecretFile: path,
  keyStores: z
    .array(
      z.strictObject({
        id: name,
        name: z.string().max(100).optional(),
        /** Keys are made here when createKey names no store. */
        primary: z.boolean().default(false),
        /** Of the key store's attestation key, from the ceremony file: uncompressed P-256 point, 65 bytes hex. */
        attestationPublicKey: z.string().regex(/^04[0-9a-f]{128}$/, 'an uncompressed P-256 point: 04 and 128 hex digits'),
      }),
    )
    .min(1)
    .refine((stores) => stores.filter((store) => store.primary).length === 1, 'exactly one key store must be primary'),
  /** How long a POST is held open for its result. */
  holdMs: z.int().min(100).max(120_000).default(25_000),
  /** A signature request that is not done by then has failed. */
  signTtlMs: z.int().min(1_000).max(3_600_000).default(300_000),
  log,
});
export type ApiConfiguration = z.infer<typeof apiConfiguration>;
