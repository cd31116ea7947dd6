import { z } from 'zod';

/** Sections that more than one configuration file has. Paths are relative to the configuration file. */

export const path = z.string().min(1);
export const port = z.int().min(1).max(65_535);
export const name = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'letters, digits, dot, dash and underscore only');

export const database = z.strictObject({
  host: z.string().min(1),
  port: port.default(5432),
  name: z.string().min(1),
  /** The runtime role: it can read and write rows, and change no schema. */
  user: z.string().min(1),
  passwordFile: path.optional(),
  /** CA of the server's certificate; without it the connection is not encrypted. */
  caFile: path.optional(),
  /** The role that owns the schema; used by `hsm-driver migrate` only. */
  owner: z.strictObject({ user: z.string().min(1), passwordFile: path.optional() }).optional(),
});
export type DatabaseConfiguration = z.infer<typeof database>;

export const log = z
  .strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') })
  .prefault({});

/** One HSM slot: a physical partition, the library that reaches it, and the PIN file that opens it. */
export const slot = z.strictObject({
  name,
  /** Full path of the PKCS#11 library. */
  module: path,
  /** Environment variables the library reads, e.g. SOFTHSM2_CONF or ChrystokiConfigurationPath. Never secrets. */
  environment: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string()).default({}),
  tokenLabel: z.string().min(1).max(32),
  /** Needed only where several tokens carry the same label. */
  tokenSerial: z.string().min(1).max(16).optional(),
  pinFile: path,
  /** Session threads: PKCS#11 sessions that work in parallel. */
  sessions: z.int().min(1).max(64).default(2),
});
export type SlotConfiguration = z.infer<typeof slot>;
