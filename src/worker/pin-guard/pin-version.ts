import { scrypt } from 'node:crypto';

/**
 * Names a PIN without telling it: the first eight bytes of scrypt (RFC 7914; N 2^14, r 8, p 1) of its bytes, with a salt
 * that belongs to the guard group, so that the same PIN of two groups shows no likeness. Whoever reads it can still try
 * short PINs against it: it is kept where only the driver reads.
 * @returns 16 hex digits.
 */
export function pinVersion(guardGroup: string, pin: Buffer): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const salt = `hsm-driver PIN version v1 ${guardGroup}`;
  scrypt(pin, salt, 32, { N: 2 ** 14, r: 8, p: 1 }, (error, key) => {
    if (error === null) resolve(key.subarray(0, 8).toString('hex'));
    else reject(error);
    key?.fill(0);
  });
  return promise;
}
