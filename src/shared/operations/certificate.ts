import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileStamp } from '../file-stamp.ts';

/** When a certificate file expires, read again when the file changed: it is replaced while the node runs. */
export interface CertificateFacts {
  readonly file: string;
  readonly subject?: string;
  readonly notAfter?: string;
  /** Why nothing is known. */
  readonly problem?: string;
}

export function createCertificateReader(): (file: string) => CertificateFacts {
  const known = new Map<string, { readonly stamp: string; readonly facts: CertificateFacts }>();
  return (file) => {
    const stamp = fileStamp(file);
    const before = known.get(file);
    if (before?.stamp === stamp) return before.facts;
    const facts = read(file);
    known.set(file, { stamp, facts });
    return facts;
  };
}

function read(file: string): CertificateFacts {
  try {
    const { subject, validToDate } = new X509Certificate(readFileSync(file));
    return { file, subject: subject.replaceAll('\n', ', '), notAfter: validToDate.toISOString() };
  } catch (error) {
    return { file, problem: (error as NodeJS.ErrnoException).code ?? (error as Error).message };
  }
}
