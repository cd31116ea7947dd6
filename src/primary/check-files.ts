import { accessSync, constants, statSync } from 'node:fs';
import { readCeremonyFile } from '../shared/ceremony-file.ts';
import type { DriverConfiguration } from '../shared/configuration/driver.ts';
import { checkSecretFile } from '../shared/configuration/secret-file.ts';
import { CodedError } from '../shared/errors.ts';

/**
 * What can be known to be wrong before a worker starts. PINs are not read here: the primary never sees one.
 * @throws SECRET_FILE_*, MODULE_NOT_LOADED, CONFIG_INVALID
 */
export function checkFiles({ slots, api, database, ceremonyFile, keyStore }: DriverConfiguration): void {
  for (const [at, slot] of slots.entries()) {
    checkSecretFile(slot.pinFile, `slots[${at}].pinFile`);
    checkModule(slot.module);
  }
  checkSecretFile(api.privateKeyFile, 'api.privateKeyFile');
  if (database.passwordFile !== undefined) checkSecretFile(database.passwordFile, 'database.passwordFile');
  checkReadable(api.caFile, 'api.caFile');
  checkReadable(api.certificateFile, 'api.certificateFile');
  const ceremony = readCeremonyFile(ceremonyFile);
  if (ceremony.keyStore !== keyStore) {
    throw new CodedError(
      'CONFIG_INVALID',
      `keyStore is ${keyStore}, but ceremonyFile ${ceremonyFile} is of ${ceremony.keyStore}`,
    );
  }
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
