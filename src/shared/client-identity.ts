import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { ApiAccess } from './configuration/driver.ts';
import { readSecretFile } from './configuration/secret-file.ts';
import { CodedError } from './errors.ts';

export type IdentityFiles = Pick<ApiAccess, 'caFile' | 'certificateFile' | 'privateKeyFile'>;

/** What a TLS connection to the API is made with. */
export interface ClientIdentity {
  readonly ca: string;
  readonly cert: string;
  /** PEM; whoever read it clears it. */
  readonly key: Buffer;
}

/**
 * Reads a node's certificate, its key and whom it trusts, and proves that a connection can be made with them: half of a
 * renewal may be on disk.
 * @throws CONFIG_INVALID, SECRET_FILE_…
 */
export function readClientIdentity({ caFile, certificateFile, privateKeyFile }: IdentityFiles): ClientIdentity {
  const ca = readPem(caFile, 'api.caFile');
  const cert = readPem(certificateFile, 'api.certificateFile');
  // A secure context takes a file without any certificate, and then trusts nobody.
  proven(() => new X509Certificate(ca), `api.caFile ${caFile} holds no certificate`);
  const key = readSecretFile(privateKeyFile, 'api.privateKeyFile');
  try {
    proven(
      () => createSecureContext({ ca, cert, key }),
      `${certificateFile} and ${privateKeyFile} do not fit together`,
    );
  } catch (error) {
    key.fill(0);
    throw error;
  }
  return { ca, cert, key };
}

function proven(prove: () => unknown, otherwise: string): void {
  try {
    prove();
  } catch (cause) {
    throw new CodedError('CONFIG_INVALID', `${otherwise} (${(cause as Error).message})`, { cause });
  }
}

function readPem(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError('CONFIG_INVALID', `${what} ${file} cannot be read (${why})`, { cause });
  }
}
