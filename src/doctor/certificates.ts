import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readSecretFile } from '../shared/configuration/secret-file.ts';
import { type Finding, good, problem, warning } from './check.ts';

const soonDays = 30;
const dayMs = 86_400_000;

export interface CertificatePair {
  /** For the texts, e.g. `client certificate`. */
  readonly what: string;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
}

/** A certificate and its key: they belong together, and it is valid for a while. */
export function certificateFindings({ what, certificateFile, privateKeyFile }: CertificatePair): readonly Finding[] {
  const certificate = new X509Certificate(readFileSync(certificateFile));
  const key = readSecretFile(privateKeyFile, `${what} privateKeyFile`);
  try {
    const fits = certificate.checkPrivateKey(createPrivateKey(key));
    const pair = fits
      ? good(`${what} and private key belong together`)
      : problem(`${privateKeyFile} is not the key of ${certificateFile}`, 'Put both files of one renewal in place');
    return [pair, validity(what, certificate)];
  } finally {
    key.fill(0);
  }
}

export function caFinding(what: string, file: string): Finding {
  return validity(what, new X509Certificate(readFileSync(file)));
}

/** The name that a driver's certificate is known by. */
export function commonNameOf(certificateFile: string): string | undefined {
  return /^CN=(.*)$/m.exec(new X509Certificate(readFileSync(certificateFile)).subject)?.[1];
}

function validity(what: string, { validFromDate, validToDate }: X509Certificate, now = Date.now()): Finding {
  const until = validToDate.toISOString();
  if (validFromDate.getTime() > now)
    return problem(`the ${what} is not valid before ${validFromDate.toISOString()}`, 'Check this machine’s clock');
  const days = Math.floor((validToDate.getTime() - now) / dayMs);
  if (days < 0) return problem(`the ${what} expired at ${until}`, 'Renew it; a running process takes the new files');
  if (days < soonDays) return warning(`the ${what} expires in ${days} days (${until})`, 'Renew it');
  return good(`the ${what} is valid until ${until}`);
}
