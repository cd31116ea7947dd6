import { webcrypto } from 'node:crypto';
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
// x509 looks for its decorators’ metadata when it is loaded.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { CodedError } from '../errors.ts';

/** ECDSA on P-256: what every CA takes. */
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/**
 * Makes a key pair where it will be used, and the request (PKCS#10, RFC 2986) that a CA answers with a certificate: the
 * private key never travels. `CN=name`, for client authentication.
 * @returns the request in PEM.
 * @throws KEY_FILE_NOT_WRITTEN: a key is there already, or its folder is not. A key is never written over.
 */
export async function requestCertificate(name: string, privateKeyFile: string): Promise<string> {
  x509.cryptoProvider.set(webcrypto as Crypto);
  const handle = openNew(privateKeyFile);
  try {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: [{ CN: [name] }],
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      ],
    });
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    writeSync(handle, `${x509.PemConverter.encode(new Uint8Array(pkcs8).buffer, 'PRIVATE KEY')}\n`);
    pkcs8.fill(0);
    fsyncSync(handle);
    return `${request.toString('pem')}\n`;
  } catch (error) {
    rmSync(privateKeyFile, { force: true });
    throw error;
  } finally {
    closeSync(handle);
  }
}

function openNew(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError('KEY_FILE_NOT_WRITTEN', `${file} (${code})`, { cause });
  }
}
