import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Secrets of the local installation: made once, kept in files that only the owner can read. */
export function openSecrets(directory: string) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const keep = (name: string, make: () => string): { file: string; value: string } => {
    const file = join(directory, name);
    if (!existsSync(file)) writeFileSync(file, `${make()}\n`, { mode: 0o600 });
    return { file, value: readFileSync(file, 'utf8').trimEnd() };
  };
  return {
    password: (name: string) => keep(name, () => randomBytes(24).toString('base64url')),
    pin: (name: string) => keep(name, () => String(randomInt(10 ** 11, 10 ** 12))),
  };
}
export type Secrets = ReturnType<typeof openSecrets>;
