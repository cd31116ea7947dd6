import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { CodedError } from '../../shared/errors.ts';

/** e_machine of ELF files (System V ABI) by Node's name of the processor. */
const elfMachines: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

/**
 * Looks at a PKCS#11 library before it is loaded: a directory, a text file or a library for another processor would
 * otherwise fail with the loader's words, or not at all.
 * @throws MODULE_NOT_LOADED
 */
export function checkModuleFile(file: string): void {
  const head = readHead(file);
  if (process.platform !== 'linux') return;
  if (head.length < 20 || head.readUInt32BE(0) !== 0x7f454c46) {
    throw new CodedError('MODULE_NOT_LOADED', `${file} is not a shared library (no ELF header)`);
  }
  const machine = head.readUInt16LE(18);
  const expected = elfMachines[process.arch];
  if (expected !== undefined && machine !== expected) {
    const built = Object.entries(elfMachines).find(([, number]) => number === machine)?.[0] ?? `ELF machine ${machine}`;
    throw new CodedError('MODULE_NOT_LOADED', `${file} is built for ${built}, this process runs on ${process.arch}`);
  }
}

function readHead(file: string): Buffer {
  let handle: number;
  try {
    if (!statSync(file).isFile()) throw new CodedError('MODULE_NOT_LOADED', `${file} is not a file`);
    handle = openSync(file, 'r');
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    throw new CodedError('MODULE_NOT_LOADED', `${file} (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`, {
      cause,
    });
  }
  try {
    const head = Buffer.alloc(20);
    return head.subarray(0, readSync(handle, head, 0, head.length, 0));
  } finally {
    closeSync(handle);
  }
}
