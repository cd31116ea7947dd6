import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { Test } from 'tap';
import { onItsOwn, type Program } from '../../scripts/local/processes.ts';
import { openSystem, type TestSystem } from './system.ts';

export interface Answer {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

/** One command of a packaged program, to its end. */
export function command(program: Program, ...args: readonly string[]): Promise<Answer> {
  const [file = '', ...rest] = onItsOwn([...program, ...args]);
  const env = { PATH: process.env.PATH, HOME: process.env.HOME };
  return new Promise((resolve) => {
    execFile(file, rest, { env, maxBuffer: 16 << 20 }, (error, out, errors) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, errors }),
    );
  });
}

/**
 * The same self-test for every package of the program, be it a binary or an image: ceremony, migrations, an API and two
 * nodes on software tokens, all by that program; then `doctor`, and a signature on each curve.
 * @param directory where it all lies; default: one of its own.
 */
export async function selfTestDeployment(t: Test, program: Program, directory?: string): Promise<TestSystem> {
  const version = await command(program, '--version');
  t.match(version.out, /^\d+\.\d+\.\d+\n$/, version.errors);
  const system = await openSystem(t, {}, { program, ...(directory === undefined ? {} : { directory }) });
  const node = join(system.places.node(1), 'config.yaml');
  const doctor = await command(program, 'doctor', '--config', node, '--json');
  t.equal(doctor.code, 0, `${doctor.errors}${doctor.out}`);
  // Each package must close this door by itself: nobody gives flags to Node.js there.
  t.notMatch(doctor.out, /inspector in process/);
  const signed = await command(program, 'self-test', '--config', system.places.client, '--json');
  t.equal(signed.code, 0, signed.errors);
  t.match(JSON.parse(signed.out), { signatures: [{ curve: 'secp256k1' }, { curve: 'ed25519' }] });
  return system;
}
