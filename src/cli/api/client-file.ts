import { generateKeyPairSync } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import type { ApiConfiguration } from '../../shared/configuration/api.ts';
import { CodedError } from '../../shared/errors.ts';

/** What an SDK client needs, in one file that only its owner may read. */
export interface ClientFile {
  readonly baseUrl: string;
  readonly orgId: string;
  readonly authToken: string;
  readonly credentialId: string;
  readonly privateKeyPem: string;
}

/**
 * Makes a key pair (Ed25519), registers it, and writes the client file with mode 0600. Its private key is nowhere else.
 * The file is there before anything is registered, so that no account is made whose key cannot be kept.
 * @param register gets the public key (PEM).
 * @throws CLIENT_FILE_NOT_WRITTEN: the file is there already, or its folder is not; and what `register` throws.
 */
export async function writeClientFile(
  file: string,
  baseUrl: string,
  register: (publicKeyPem: string) => Promise<Pick<ClientFile, 'orgId' | 'authToken' | 'credentialId'>>,
): Promise<ClientFile> {
  const handle = openNew(file);
  try {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const registered = await register(publicKey.export({ type: 'spki', format: 'pem' }).toString());
    const { orgId, authToken, credentialId } = registered;
    const privateKeyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const client = { baseUrl, orgId, authToken, credentialId, privateKeyPem };
    writeSync(handle, `${JSON.stringify(client, null, 2)}\n`);
    return client;
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(handle);
  }
}

/** Where applications reach the API, as far as its configuration tells. */
export function baseUrlOf({ application: { host, port } }: ApiConfiguration): string {
  return `https://${host === '0.0.0.0' || host === '::' ? 'localhost' : host}:${port}`;
}

/** A program that uses the client file, for who sees the API for the first time. */
export function sdkProgram(file: string): string {
  return `import { readFileSync } from 'node:fs';
import { DfnsApiClient } from '@dfns/sdk';
import { AsymmetricKeySigner } from '@dfns/sdk-keysigner';

const { baseUrl, orgId, authToken, credentialId, privateKeyPem } = JSON.parse(readFileSync(${JSON.stringify(file)}));
const signer = new AsymmetricKeySigner({ credId: credentialId, privateKey: privateKeyPem });
const dfns = new DfnsApiClient({ baseUrl, orgId, authToken, signer });
const wallet = await dfns.wallets.createWallet({ body: { network: 'EthereumSepolia' } });
console.log(wallet.address);
console.log(await dfns.wallets.generateSignature({ walletId: wallet.id, body: { kind: 'Hash', hash: '00'.repeat(32) } }));
`;
}

function openNew(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError('CLIENT_FILE_NOT_WRITTEN', `${file} (${code})`, { cause });
  }
}
