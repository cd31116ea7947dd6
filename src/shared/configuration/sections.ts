import { z } from 'zod';
import { wrapAlgorithms } from '../wrap-algorithms.ts';

/**
 * Sections that more than one configuration file has. Every key is described here once: docs/configuration.md is
 * printed from these texts. Paths are relative to the configuration file.
 */

export const path = z.string().min(1);
export const port = z.int().min(1).max(65_535);
export const name = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'letters, digits, dot, dash and underscore only');

export const database = z.strictObject({
  host: z.string().min(1).describe('Host of the PostgreSQL server'),
  port: port.default(5432).describe('Port of the PostgreSQL server'),
  name: z.string().min(1).describe('Name of the database'),
  user: z.string().min(1).describe('The runtime role: it reads and writes rows, and can change no schema'),
  passwordFile: path.optional().describe('Secret file with the role’s password'),
  caFile: path.optional().describe('CA of the server’s certificate; without it the connection is not encrypted'),
  direct: z
    .strictObject({
      host: z.string().min(1).describe('Host of the server itself'),
      port: port.default(5432).describe('Its port'),
    })
    .optional()
    .describe(
      'Where `host` and `port` are those of a pooler (PgBouncer): the server behind it, for LISTEN and for migrations, which a pooler cannot carry',
    ),
  synchronousReplica: z
    .literal('required')
    .optional()
    .describe(
      'With `required` no process starts on a server that waits for no synchronous replica. Without it, replicas that are not synchronous are an alarm: a promoted one could have lost keys whose addresses are in use',
    ),
  owner: z
    .strictObject({
      user: z.string().min(1).describe('The role that owns the schema'),
      passwordFile: path.optional().describe('Secret file with its password'),
    })
    .optional()
    .describe('Used by `hsm-driver migrate` only; leave it out elsewhere'),
});
export type DatabaseConfiguration = z.infer<typeof database>;

export const log = z
  .strictObject({
    level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least severe line that is written'),
  })
  .prefault({})
  .describe('One JSON line per event on standard output');

/** Who must agree to what one person must not do alone; see src/shared/orders. */
export const operators = z
  .strictObject({
    threshold: z.int().min(1).max(16).describe('M: so many different operators must sign an order'),
    keys: z
      .array(
        z.strictObject({
          name: name.describe('The operator’s name, as signatures carry it'),
          publicKeyFile: path.describe('Public key in PEM: Ed25519 or P-256; the private key stays with the operator'),
        }),
      )
      .min(1)
      .max(16)
      .refine((keys) => new Set(keys.map((one) => one.name)).size === keys.length, 'operators’ names must differ')
      .describe('The N operators'),
  })
  .refine(({ threshold, keys }) => threshold <= keys.length, 'threshold is larger than the number of keys')
  .optional()
  .describe(
    'The operators whose signed orders are needed for what one person must not do alone (`hsm-driver order`). A one-person set-up says threshold 1. Without this section nobody but the one at the keyboard is needed',
  );
export type OperatorsConfiguration = NonNullable<z.infer<typeof operators>>;

/** The operations server of a process; `what` says whose. */
export const operations = (what: string) =>
  z
    .strictObject({
      host: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .describe('Address to listen on; the pages are not protected, so only where your network protects them'),
      port: port.describe('Port to listen on'),
    })
    .optional()
    .describe(
      `The operations server of ${what}: /livez, /readyz, /metrics and /status over plain HTTP; without this section there is none`,
    );

/** One token: a physical partition, the library that reaches it, and the PIN file that opens it. */
export const token = z.strictObject({
  name: name.describe('What logs and metrics call this slot'),
  module: path.describe('Full path of the HSM’s PKCS#11 library'),
  environment: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string())
    .default({})
    .describe('Environment variables that the library reads, e.g. ChrystokiConfigurationPath; never secrets'),
  tokenLabel: z.string().min(1).max(32).describe('CKA_LABEL of the token (partition)'),
  tokenSerial: z
    .string()
    .min(1)
    .max(16)
    .optional()
    .describe('Serial number of the token; needed only where several carry the same label'),
  pinFile: path.describe('Secret file with the user PIN; refused when everybody can read it'),
  pinGuardGroup: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe(
      'Name of the PIN counter that this token shares with others, e.g. the partitions of one HA group: a PIN that one of them refused is tried on none. Default: the token’s serial number',
    ),
  wrap: z
    .array(
      z.strictObject({
        algorithm: z
          .enum(wrapAlgorithms)
          .describe('What the bytes are; CBC_PAD is not authenticated: only where the HSM can do nothing else'),
        mechanism: z
          .int()
          .min(1)
          .max(0xffff_ffff)
          .optional()
          .describe('The token’s number for it (CKM_…), where the vendor has its own; default: the standard numbers'),
      }),
    )
    .min(1)
    .optional()
    .describe(
      'How this token may wrap keys, best first; the ceremony pins one algorithm for all tokens, and each is proven before it is used. Default: RFC5649, then AES-GCM',
    ),
});
export type TokenConfiguration = z.infer<typeof token>;

/** One HSM slot of a node: a token at work. */
export const slot = token.extend({
  sessions: z
    .int()
    .min(1)
    .max(64)
    .default(2)
    .describe(
      'Session threads: PKCS#11 sessions that work in parallel. Where the token has room for fewer, the slot works with those and warns',
    ),
  callDeadlineMs: z
    .int()
    .min(200)
    .max(600_000)
    .default(5_000)
    .describe(
      'A single PKCS#11 call that lasts longer hangs: the worker is killed and replaced. Far above the slowest call of a healthy HSM (key generation on a busy network HSM: below a second), and below the 25 s that a caller waits',
    ),
  keepAliveMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(30_000)
    .describe(
      'A slot without work for this long makes one call on each session, so that a link that was dropped is noticed before a request needs it. Below the idle limit of HSMs and firewalls (minutes)',
    ),
  unwrappedKeyTtlMs: z
    .int()
    .min(0)
    .max(3_600_000)
    .default(0)
    .describe(
      'How long a wallet key may stay unwrapped inside the HSM after it was opened to sign. 0: strictly stateless, a key handle never outlives its batch. Unwrapping costs three to ten times the signature itself, so keys that sign often gain',
    ),
  unwrappedKeys: z
    .int()
    .min(1)
    .max(100_000)
    .default(1_000)
    .describe('How many keys each session may keep unwrapped; below what the HSM allows as session objects'),
  measureCpu: z
    .boolean()
    .default(false)
    .describe(
      'Measure the CPU time inside PKCS#11 calls, for benchmarks: `threads.pkcs11CpuMs` in /status. Costs some microseconds a call',
    ),
});
export type SlotConfiguration = z.infer<typeof slot>;
