import { createHash, webcrypto, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
// x509 looks for its decorators’ metadata when it is loaded.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

/**
 * A certificate authority in a directory, for small installations and for trying out: ECDSA on P-256, PEM files that
 * openssl reads (X.509, PKCS#8). A larger installation brings its own; nothing that runs as a service comes here.
 *
 *   ca.pem  ca.key        the authority, for ten years
 *   NAME.pem  NAME.key    what it issued, for 397 days
 */
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;
const authorityDays = 3_650;
const certificateDays = 397;

export interface Authority {
  readonly certificateFile: string;
  /**
   * The files of this name; they are made when they are not there. `server`: for localhost and 127.0.0.1.
   * @param addresses more IP addresses and DNS names of the server.
   */
  issue(name: string, use: 'server' | 'client', addresses?: readonly string[]): Promise<IssuedFiles>;
}

export interface IssuedFiles {
  readonly certificateFile: string;
  /** Mode 0600. */
  readonly privateKeyFile: string;
}

/** Opens the authority kept in `directory`, or makes it. */
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
    async issue(name, use, addresses = []) {
      const files = { certificateFile: join(directory, `${name}.pem`), privateKeyFile: join(directory, `${name}.key`) };
      if (existsSync(files.certificateFile) && existsSync(files.privateKeyFile)) return files;
      const keys = await generateKeys();
      const certificate = await x509.X509CertificateGenerator.create({
        subject: `CN=${name}`,
        issuer: authority.subject,
        ...validity(certificateDays),
        publicKey: keys.publicKey,
        signingKey,
        signingAlgorithm: algorithm,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([
            use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
          ]),
          ...(use === 'server' ? [serverNames(addresses)] : []),
        ],
      });
      await writePair(files, certificate, keys.privateKey);
      return files;
    },
  };
}

/** SHA-256 of a certificate, lower-case hex: what `openssl x509 -fingerprint -sha256` shows, without colons. */
export function certificateSha256(pem: string | Buffer): string {
  return createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
}

function serverNames(addresses: readonly string[]): x509.SubjectAlternativeNameExtension {
  return new x509.SubjectAlternativeNameExtension([
    { type: 'dns', value: 'localhost' },
    ...['127.0.0.1', ...addresses].map((value) => ({
      type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const),
      value,
    })),
  ]);
}

async function makeAuthority(commonName: string, certificateFile: string, privateKeyFile: string): Promise<void> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${commonName}`,
    ...validity(authorityDays),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  await writePair({ certificateFile, privateKeyFile }, certificate, keys.privateKey);
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  // A day back: a host whose clock is behind must not lose the service to a certificate that is new.
  return { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + days * dayMs) };
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function importKey(pem: string): Promise<CryptoKey> {
  const bytes = x509.PemConverter.decodeFirst(pem);
  return (await webcrypto.subtle.importKey('pkcs8', bytes, algorithm, false, ['sign'])) as CryptoKey;
}

async function writePair(files: IssuedFiles, certificate: x509.X509Certificate, key: CryptoKey): Promise<void> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key as Parameters<typeof webcrypto.subtle.exportKey>[1]);
  const pem = x509.PemConverter.encode(pkcs8 as ArrayBuffer, 'PRIVATE KEY');
  writeFileSync(files.privateKeyFile, `${pem}\n`, { mode: 0o600 });
  writeFileSync(files.certificateFile, `${certificate.toString('pem')}\n`);
}
