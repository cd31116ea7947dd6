import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { parse } from 'yaml';
import { z } from 'zod';
import { repository } from '../../scripts/local/places.ts';
import { type Program, startDriverProcess } from '../../scripts/local/processes.ts';
import { freePort } from '../../scripts/setup/free-port.js';
import { startPostgres } from '../../scripts/setup/postgres.js';
import { command } from './deployment.ts';

/** The programs of the image for trying out, here or inside it. */
export interface TrialPrograms {
  readonly prepare: Program;
  readonly hsmDriver: Program;
  /** The PKCS#11 module as they see it. */
  readonly module: string;
}

const services = z.object({
  services: z.record(z.string(), z.object({ command: z.array(z.string()).optional() })),
});

/**
 * What `docker compose up` and `docker compose run self-test` do, with the words of docker-compose.yml, on this machine: a
 * second `prepare` keeps what the first made, and the processes that start from it sign.
 * @param own a folder that all of them see under its own path.
 */
export async function trialSigns(t: Test, own: string, { prepare, hsmDriver, module }: TrialPrograms): Promise<void> {
  const compose = services.parse(parse(readFileSync(join(repository, 'docker-compose.yml'), 'utf8'), { merge: true }));
  const wordsOf = (name: string): readonly string[] => compose.services[name]?.command ?? [];
  const database = mkdtempSync(join(tmpdir(), 'hsm-signing-trial-database-'));
  const server = await startPostgres({ dataDirectory: join(database, 'data'), durable: false });
  t.teardown(async () => {
    await server.stop();
    rmSync(database, { recursive: true, force: true });
  });
  const passwordFile = join(own, 'superuser-password');
  copyFileSync(server.passwordFile, passwordFile);
  const [application, driver, ...operations] = await Promise.all([0, 0, 0, 0, 0].map(() => freePort(0)));
  const trial = join(own, 'trial');
  // As in the file, but that all of it is on one machine.
  const here: Record<string, string> = {
    '--directory': trial,
    '--module': module,
    '--database': '127.0.0.1',
    '--api': 'localhost',
  };
  const given = wordsOf('prepare');
  const words = [
    ...given.map((word, at) => here[given[at - 1] ?? ''] ?? word),
    ...['--database-port', String(server.port), '--database-password-file', passwordFile],
    ...['--application-port', String(application), '--driver-port', String(driver)],
    ...['--operations-ports', operations.join()],
  ];
  const protocol = (): string => readFileSync(join(trial, 'ceremony/protocol.json'), 'utf8');
  const first = await command(prepare, ...words);
  t.equal(first.code, 0, first.errors);
  const before = protocol();
  const again = await command(prepare, ...words);
  t.equal(again.code, 0, again.errors);
  t.equal(protocol(), before, 'a second run keeps what is there');
  t.equal(statSync(join(trial, 'client.json')).mode & 0o777, 0o600);

  const moved = (name: string) => wordsOf(name).map((word) => word.replace(/^\/trial/, trial));
  const start = (name: string) => {
    const child = startDriverProcess(name, moved(name), join(database, `${name}.log`), { program: hsmDriver });
    t.teardown(() => child.stop());
    return child;
  };
  await start('api').line('signing API started');
  await Promise.all(['node-1', 'node-2'].map((name) => start(name).line('slot ready')));
  const signed = await command(hsmDriver, ...moved('self-test'));
  t.equal(signed.code, 0, signed.errors);
  t.match(signed.out, /secp256k1 .*verified[\s\S]*ed25519 .*verified/);
}
