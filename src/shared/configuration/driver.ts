import { z } from 'zod';
import { database, log, name, path, slot } from './sections.ts';

/** `hsm-driver run`: one node of the driver. */
export const driverConfiguration = z.strictObject({
  kind: z.literal('driver'),
  /** The node's name, as in its client certificate and on the API's list. */
  node: name,
  keyStore: name,
  api: z.strictObject({
    /** Origins of the API's driver listener, e.g. https://signing.example:8443; each is used in turn. */
    addresses: z.array(z.url({ protocol: /^https$/ })).min(1),
    caFile: path,
    certificateFile: path,
    privateKeyFile: path,
  }),
  database,
  /** The ceremony's protocol file: pins the attestation key and the canaries of the key store's master key. */
  ceremonyFile: path,
  slots: z
    .array(slot)
    .min(1)
    .refine((slots) => new Set(slots.map((one) => one.name)).size === slots.length, 'slot names must differ'),
  log,
});
export type DriverConfiguration = z.infer<typeof driverConfiguration>;
