import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { ApiAccess } from '../shared/configuration/driver.ts';
import { readSecretFile } from '../shared/configuration/secret-file.ts';
import { CodedError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';

type Files = Pick<ApiAccess, 'caFile' | 'certificateFile' | 'privateKeyFile'>;

/** What a TLS connection to the API is made with. */
export interface Identity {
  readonly ca: string;
  readonly cert: string;
  /** PEM; overwritten when the files were replaced. */
  readonly key: Buffer;
}

/**
 * The node's certificate, as it lies on disk now: files that were replaced are used by the next connection, without a
 * restart. Files that do not fit together (half of a renewal is written) change nothing until they do.
 */
export interface CertificateFiles {
  /** The same object until the files change. */
  current(): Identity;
  /** notAfter of the certificate in use, milliseconds since 1970. */
  readonly expiresAt: number;
}

/** @throws CONFIG_INVALID, SECRET_FILE_… for what is on disk at the start. */
export function openCertificateFiles(files: Files, log: Log): CertificateFiles {
  let mark = markOf(files);
  let identity = read(files);
  let expiresAt = notAfter(identity);

  function renew(found: string): void {
    mark = found;
    try {
      const next = read(files);
      identity.key.fill(0);
      identity = next;
      expiresAt = notAfter(next);
      log.info({ file: files.certificateFile, expiresAt: new Date(expiresAt).toISOString() }, 'certificate renewed');
    } catch (error) {
      // Once for each change on disk: the next look at the same files is silent.
      log.warn({ file: files.certificateFile, cause: (error as Error).message }, 'replaced certificate is of no use');
    }
  }

  return {
    current() {
      const found = markOf(files);
      if (found !== mark) renew(found);
      return identity;
    },
    get expiresAt() {
      return expiresAt;
    },
  };
}

/** Changes whenever one of the files does, also when a link is turned to another file, as Kubernetes does. */
function markOf({ caFile, certificateFile, privateKeyFile }: Files): string {
  return [caFile, certificateFile, privateKeyFile].map(fileMark).join(' ');
}

function fileMark(file: string): string {
  try {
    const { ino, size, mtimeNs } = statSync(file, { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    return 'none';
  }
}

function read({ caFile, certificateFile, privateKeyFile }: Files): Identity {
  const ca = readPem(caFile, 'api.caFile');
  const cert = readPem(certificateFile, 'api.certificateFile');
  const key = readSecretFile(privateKeyFile, 'api.privateKeyFile');
  try {
    createSecureContext({ ca, cert, key });
  } catch (cause) {
    key.fill(0);
    const why = (cause as Error).message;
    throw new CodedError('CONFIG_INVALID', `${certificateFile} and ${privateKeyFile} do not fit together (${why})`, {
      cause,
    });
  }
  return { ca, cert, key };
}

function notAfter({ cert }: Identity): number {
  return new X509Certificate(cert).validToDate.getTime();
}

function readPem(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError('CONFIG_INVALID', `${what} ${file} cannot be read (${why})`, { cause });
  }
}
