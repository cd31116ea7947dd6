import { readFileSync, writeFileSync } from 'node:fs';
import { CodedError } from '../../shared/errors.ts';

/** @throws OPTION_INVALID */
export function readListFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CodedError('OPTION_INVALID', `${file} cannot be read (${(cause as Error).message})`, { cause });
  }
}

/** A new file, and how it is approved. @throws OPTION_INVALID where it exists */
export function writeListFile(
  file: string,
  text: string,
  { version, keyStore }: { version: number; keyStore: string },
) {
  try {
    writeFileSync(file, text, { flag: 'wx' });
  } catch (cause) {
    throw new CodedError('OPTION_INVALID', `${file} cannot be written (${(cause as Error).message})`, { cause });
  }
  const order = `hsm-driver order new --key-store ${keyStore} --kind credentials --subject "version ${version}" --document ${file} --out ORDER`;
  process.stdout.write(`Version ${version} is in ${file}; nothing is in force yet. Read it, then:\n  ${order}\n`);
}
