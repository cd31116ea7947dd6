import { accessSync, constants, statSync } from 'node:fs';
import { readClientIdentity } from '../shared/client-identity.ts';
import type { ApiAccess, DriverConfiguration } from '../shared/configuration/driver.ts';
import { checkSecretFile } from '../shared/configuration/secret-file.ts';
import { asCodedError, CodedError } from '../shared/errors.ts';
import { readKeyRing } from '../shared/key-ring-files.ts';

/**
 * What can be known to be wrong before a worker starts, so that none that works ends for one that cannot. PINs are not read
 * here: the primary never sees one.
 * @returns SECRET_FILE_*, MODULE_NOT_LOADED, CONFIG_*: all that is wrong, the worst kind of surprise is one at a time.
 */
export function problemsBeforeStart(configuration: DriverConfiguration): CodedError[] {
  const { api } = configuration;
  const alone = fileProblems(configuration);
  // What is wrong with one of these files is not said twice. The primary calls the API too: it may see this key.
  if (api === undefined || problemsOf(apiFiles(api)).length > 0) return alone;
  return [...alone, ...problemsOf([() => void readClientIdentity(api).key.fill(0)])];
}

/** Each file by itself; what must fit together is another matter. */
export function fileProblems(configuration: DriverConfiguration): CodedError[] {
  const { slots, api, database } = configuration;
  return problemsOf([
    ...slots.flatMap((slot, at) => [
      () => checkSecretFile(slot.pinFile, `slots[${at}].pinFile`),
      () => checkModule(slot.module),
    ]),
    ...secretOf(database.passwordFile, 'database.passwordFile'),
    ...readableOf(database.caFile, 'database.caFile'),
    ...(api === undefined ? [] : apiFiles(api)),
    () => void readKeyRing(configuration),
  ]);
}

function problemsOf(checks: readonly (() => void)[]): CodedError[] {
  return checks.flatMap((check) => {
    try {
      check();
      return [];
    } catch (error) {
      return [asCodedError(error)];
    }
  });
}

function apiFiles(api: ApiAccess): (() => void)[] {
  return [
    () => checkSecretFile(api.privateKeyFile, 'api.privateKeyFile'),
    () => checkReadable(api.caFile, 'api.caFile'),
    () => checkReadable(api.certificateFile, 'api.certificateFile'),
  ];
}

function secretOf(file: string | undefined, what: string): (() => void)[] {
  return file === undefined ? [] : [() => checkSecretFile(file, what)];
}

function readableOf(file: string | undefined, what: string): (() => void)[] {
  return file === undefined ? [] : [() => checkReadable(file, what)];
}

function checkModule(module: string): void {
  try {
    if (statSync(module).isFile()) return;
  } catch (cause) {
    throw new CodedError('MODULE_NOT_LOADED', `${module} (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`, {
      cause,
    });
  }
  throw new CodedError('MODULE_NOT_LOADED', `${module} is not a file`);
}

function checkReadable(file: string, what: string): void {
  try {
    accessSync(file, constants.R_OK);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError('CONFIG_INVALID', `${what} ${file} cannot be read (${why})`, { cause });
  }
}
