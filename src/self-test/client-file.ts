import { z } from 'zod';
import { loadConfiguration } from '../shared/configuration/load.ts';
import { readSecretFile } from '../shared/configuration/secret-file.ts';

/** What `hsm-driver api init --client-file` writes, and where the API’s certificate is of a private CA, that CA. */
const clientFile = z.strictObject({
  baseUrl: z.url({ protocol: /^https$/ }),
  orgId: z.string().min(1),
  authToken: z.string().min(1),
  credentialId: z.string().min(1),
  privateKeyPem: z.string().min(1),
  caFile: z.string().min(1).optional(),
});
export type Client = z.infer<typeof clientFile>;

/** @throws CONFIG_*, SECRET_FILE_*: the file holds a token and a private key, so others must not be able to read it. */
export function readClientFile(file: string): Client {
  readSecretFile(file, 'the client file').fill(0);
  return loadConfiguration(file, clientFile);
}
