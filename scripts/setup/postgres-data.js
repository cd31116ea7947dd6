import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { run, SetupError } from './command.js';

/**
 * Makes the database files when there are none.
 * @param {import('./postgres-launcher.js').Launcher} launcher
 * @param {string} passwordFile where the superuser's password is kept (mode 0600)
 * @param {boolean} durable false: do not wait for the disk
 * @returns {Promise<string>} the superuser's password
 */
export async function prepareData(launcher, passwordFile, durable) {
  const { dataDirectory } = launcher;
  if (existsSync(join(dataDirectory, 'PG_VERSION'))) {
    if (existsSync(passwordFile)) return readFileSync(passwordFile, 'utf8').trim();
    throw new SetupError(`${passwordFile} is missing, so nobody can log in: delete ${dataDirectory} to start anew`);
  }
  if (existsSync(dataDirectory) && readdirSync(dataDirectory).length > 0) {
    throw new SetupError(`${dataDirectory} holds files, but no database: name another folder, or delete it`);
  }
  const password = randomBytes(24).toString('base64url');
  mkdirSync(dirname(dataDirectory), { recursive: true });
  writeSecret(passwordFile, password);
  await initialise(launcher, password, durable);
  return password;
}

/** initdb writes PG_VERSION first of all, so it works in another folder: a killed one leaves nothing that looks whole. */
async function initialise({ dataDirectory, programs, owner, wrap }, password, durable) {
  const half = `${dataDirectory}.new`;
  rmSync(half, { recursive: true, force: true });
  mkdirSync(half, { mode: 0o700 });
  const secret = `${half}.password`;
  writeSecret(secret, password);
  if (owner !== undefined) for (const path of [half, secret]) chownSync(path, owner.uid, owner.gid);
  try {
    const options = [
      '-D',
      half,
      '-U',
      'postgres',
      '-A',
      'scram-sha-256',
      `--pwfile=${secret}`,
      '-E',
      'UTF8',
      '--locale=C',
    ];
    const { command, args, ids } = wrap(programs.initdb, durable ? options : [...options, '--no-sync']);
    await run(command, args, { cwd: '/', ids, env: postgresEnvironment(), timeoutMs: 180_000 });
  } finally {
    rmSync(secret, { force: true });
  }
  rmSync(dataDirectory, { recursive: true, force: true });
  renameSync(half, dataDirectory);
}

function writeSecret(file, text) {
  rmSync(file, { force: true });
  writeFileSync(file, text, { mode: 0o600 });
  chmodSync(file, 0o600);
}

/** Nothing of ours: PostgreSQL takes settings from PG... variables, and other people's secrets are none of its business. */
export function postgresEnvironment() {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}
