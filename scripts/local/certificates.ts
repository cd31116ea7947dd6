import { webcrypto } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
// x509 looks for its decorators’ metadata when it is loaded.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

/**
 * Certificates for trying out and for tests: one CA for what applications see, one that only signs drivers. A real
 * installation brings its own (cert-manager, an internal CA); nothing in src knows how certificates are made.
 */
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;

export interface Authority {
  readonly certificateFile: string;
  issue(name: string, use: 'server' | 'client'): Promise<{ certificateFile: string; privateKeyFile: string }>;
}

/** Opens the authority kept in `directory`, or makes it. Files: `ca.pem`, `ca.key`, and two for each name issued. */
export async function openAuthority(directory: string, commonName: string): Promise<Authority> {
  x509.cryptoProvider.set(webcrypto as Crypto);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const certificateFile = join(directory, 'ca.pem');
  const keyFile = join(directory, 'ca.key');
  if (!existsSync(certificateFile) || !existsSync(keyFile)) await makeAuthority(commonName, certificateFile, keyFile);
  const authority = new x509.X509Certificate(readFileSync(certificateFile, 'utf8'));
  const signingKey = await importKey(readFileSync(keyFile, 'utf8'));

  return {
    certificateFile,
    async issue(name, use) {
      const files = { certificateFile: join(directory, `${name}.pem`), privateKeyFile: join(directory, `${name}.key`) };
      if (existsSync(files.certificateFile) && existsSync(files.privateKeyFile)) return files;
      const keys = await generateKeys();
      const certificate = await x509.X509CertificateGenerator.create({
        subject: `CN=${name}`,
        issuer: authority.subject,
        ...validity(397),
        publicKey: keys.publicKey,
        signingKey,
        signingAlgorithm: algorithm,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([
            use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
          ]),
          ...(use === 'server'
            ? [
                new x509.SubjectAlternativeNameExtension([
                  { type: 'dns', value: 'localhost' },
                  { type: 'ip', value: '127.0.0.1' },
                ]),
              ]
            : []),
        ],
      });
      await writePair(files.certificateFile, certificate, files.privateKeyFile, keys.privateKey);
      return files;
    },
  };
}

async function makeAuthority(commonName: string, certificateFile: string, keyFile: string): Promise<void> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${commonName}`,
    ...validity(3650),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  await writePair(certificateFile, certificate, keyFile, keys.privateKey);
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  // A minute back: the clocks of two hosts are never equal.
  return { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + days * dayMs) };
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function importKey(pem: string): Promise<CryptoKey> {
  const bytes = x509.PemConverter.decodeFirst(pem);
  return (await webcrypto.subtle.importKey('pkcs8', bytes, algorithm, false, ['sign'])) as CryptoKey;
}

async function writePair(
  certificateFile: string,
  certificate: x509.X509Certificate,
  keyFile: string,
  key: CryptoKey,
): Promise<void> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key as Parameters<typeof webcrypto.subtle.exportKey>[1]);
  writeFileSync(keyFile, `${x509.PemConverter.encode(pkcs8 as ArrayBuffer, 'PRIVATE KEY')}\n`, { mode: 0o600 });
  writeFileSync(certificateFile, `${certificate.toString('pem')}\n`);
}
