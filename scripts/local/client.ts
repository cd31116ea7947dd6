import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Places } from './places.ts';
import { type Program, runCommand } from './processes.ts';

/** What an SDK client needs: the content of `.local/client.json`. */
export interface ClientFile {
  readonly baseUrl: string;
  /** For NODE_EXTRA_CA_CERTS: the SDK has no option for a private CA. */
  readonly caFile: string;
  readonly authToken: string;
  readonly credentialId: string;
  readonly privateKeyPem: string;
  readonly orgId: string;
}

/**
 * Registers an application at the first start (an organisation, a service account and its credential, whose private key
 * stays on the client's side) and writes the client file. Later starts only bring its address up to date.
 */
export async function openClient(
  places: Places,
  baseUrl: string,
  caFile: string,
  program?: Program,
): Promise<ClientFile> {
  const client = existsSync(places.client)
    ? { ...(JSON.parse(readFileSync(places.client, 'utf8')) as ClientFile), baseUrl, caFile }
    : await register(places, baseUrl, caFile, program);
  writeFileSync(places.client, `${JSON.stringify(client, null, 2)}\n`, { mode: 0o600 });
  return client;
}

async function register(places: Places, baseUrl: string, caFile: string, program?: Program): Promise<ClientFile> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const publicKeyFile = join(places.root, 'client.public.pem');
  writeFileSync(publicKeyFile, publicKey.export({ type: 'spki', format: 'pem' }));
  const output = await runCommand(
    ['init', '--config', places.apiConfig, '--organisation', 'Local trial', '--credential-public-key', publicKeyFile],
    program,
  );
  const { authToken, credentialId, orgId } = JSON.parse(output) as {
    authToken: string;
    credentialId: string;
    orgId: string;
  };
  return {
    baseUrl,
    caFile,
    authToken,
    credentialId,
    privateKeyPem: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    orgId,
  };
}
