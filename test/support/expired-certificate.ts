import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const hourMs = 3_600_000;

/**
 * A client certificate that was good until an hour ago.
 * @param directory of the authority, see openAuthority.
 * @returns certificate and private key, PEM.
 */
export async function issueExpired(directory: string, name: string): Promise<readonly [string, string]> {
  x509.cryptoProvider.set(webcrypto as Crypto);
  const authority = new x509.X509Certificate(readFileSync(join(directory, 'ca.pem'), 'utf8'));
  const pkcs8 = x509.PemConverter.decodeFirst(readFileSync(join(directory, 'ca.key'), 'utf8'));
  const signingKey = (await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign'])) as CryptoKey;
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: authority.subject,
    notBefore: new Date(Date.now() - 24 * hourMs),
    notAfter: new Date(Date.now() - hourMs),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
    ],
  });
  const exported = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return [`${certificate.toString('pem')}\n`, `${x509.PemConverter.encode(exported, 'PRIVATE KEY')}\n`];
}
