import { X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { type ClientIdentity, type IdentityFiles, readClientIdentity } from '../shared/client-identity.ts';
import type { Log } from '../shared/log.ts';

/**
 * The node's certificate, as it lies on disk now: files that were replaced are used by the next connection, without a
 * restart. Files that do not fit together (half of a renewal is written) change nothing until they do.
 */
export interface CertificateFiles {
  /** The same object until the files change; then its key is overwritten. */
  current(): ClientIdentity;
  /** notAfter of the certificate in use, milliseconds since 1970. */
  readonly expiresAt: number;
}

/** @throws CONFIG_INVALID, SECRET_FILE_… for what is on disk at the start. */
export function openCertificateFiles(files: IdentityFiles, log: Log): CertificateFiles {
  let mark = markOf(files);
  let identity = readClientIdentity(files);
  let expiresAt = notAfter(identity);

  function renew(found: string): void {
    mark = found;
    try {
      const next = readClientIdentity(files);
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
function markOf({ caFile, certificateFile, privateKeyFile }: IdentityFiles): string {
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

function notAfter({ cert }: ClientIdentity): number {
  return new X509Certificate(cert).validToDate.getTime();
}
