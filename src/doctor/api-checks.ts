import { accessSync, constants } from 'node:fs';
import type { ApiConfiguration } from '../shared/configuration/api.ts';
import { checkSecretFile, readSecretFile } from '../shared/configuration/secret-file.ts';
import { apiSchema } from '../shared/database/schema/api.ts';
import type { Log } from '../shared/log.ts';
import { caFinding, certificateFindings } from './certificates.ts';
import { type Check, type Finding, good, problem, problemOf } from './check.ts';
import { databaseChecks } from './database.ts';
import { processHygiene } from './process-hygiene.ts';

/** The pool, the LISTEN connection and what a migration needs beside them (docs/operations.md). */
const connectionsOfApi = 10;
const secretBytes = 32;

/** Everything that a process of the signing API rests on, in the order in which it is mended. */
export function signingApiChecks(configuration: ApiConfiguration, log: Log): readonly Check[] {
  const { application, driver, database, userActionSecretFile } = configuration;
  return [
    processHygiene(),
    { name: 'files', look: async () => files(configuration) },
    {
      name: 'certificates',
      needs: ['files'],
      look: async () => [
        ...certificateFindings({ what: 'certificate for applications', ...application }),
        ...certificateFindings({ what: 'certificate for drivers', ...driver }),
        caFinding('CA of the drivers', driver.clientCaFile),
      ],
    },
    { name: 'user-action secret', needs: ['files'], look: async () => [secretFinding(userActionSecretFile)] },
    ...databaseChecks(database, {
      schema: apiSchema,
      appendOnly: ['audit_anchor'],
      connections: connectionsOfApi,
      log,
    }),
  ];
}

function files({ application, driver, database, userActionSecretFile }: ApiConfiguration): readonly Finding[] {
  const secrets: readonly (readonly [string, string | undefined])[] = [
    ['application.privateKeyFile', application.privateKeyFile],
    ['driver.privateKeyFile', driver.privateKeyFile],
    ['userActionSecretFile', userActionSecretFile],
    ['database.passwordFile', database.passwordFile],
  ];
  const plain: readonly (readonly [string, string])[] = [
    ['application.certificateFile', application.certificateFile],
    ['driver.certificateFile', driver.certificateFile],
    ['driver.clientCaFile', driver.clientCaFile],
  ];
  const problems = [
    ...secrets.flatMap(([what, file]) => (file === undefined ? [] : failure(() => checkSecretFile(file, what)))),
    ...plain.flatMap(([what, file]) => unreadable(what, file)),
  ];
  return problems.length === 0 ? [good('every file is there, and no secret can be read by others')] : problems;
}

function failure(look: () => void): readonly Finding[] {
  try {
    look();
    return [];
  } catch (error) {
    return [problemOf(error)];
  }
}

function unreadable(what: string, file: string): readonly Finding[] {
  try {
    accessSync(file, constants.R_OK);
    return [];
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'unknown';
    return [problem(`${what} ${file} cannot be read (${why})`, 'Create the file or correct its path')];
  }
}

function secretFinding(file: string): Finding {
  const secret = readSecretFile(file, 'userActionSecretFile');
  try {
    return secret.length < secretBytes
      ? problem(
          `the user-action secret has ${secret.length} bytes`,
          `Write ${secretBytes} random bytes or more into it`,
        )
      : good('the user-action secret is long enough');
  } finally {
    secret.fill(0);
  }
}
