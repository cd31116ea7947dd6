import { execFile } from 'node:child_process';
import { resolve } from 'node:path';

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

/** `hsm-driver …`, to its end. */
export function runCommand(...args: readonly string[]): Promise<Ended> {
  const main = resolve(import.meta.dirname, '../../src/cli/main.ts');
  const { promise, resolve: done } = Promise.withResolvers<Ended>();
  execFile(process.execPath, [main, ...args], (error, out, errors) =>
    done({ code: typeof error?.code === 'number' ? error.code : 0, out, errors }),
  );
  return promise;
}
