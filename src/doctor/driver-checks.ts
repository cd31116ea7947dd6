import { existsSync, statSync } from 'node:fs';
import { fileProblems } from '../primary/check-files.ts';
import { readCeremonyFile } from '../shared/ceremony-file.ts';
import type { ApiAccess, DriverConfiguration } from '../shared/configuration/driver.ts';
import { driverSchema } from '../shared/database/schema/driver.ts';
import type { Log } from '../shared/log.ts';
import { apiChecks } from './api-connection.ts';
import { authorityFindings } from './authority.ts';
import { ceremonyFindings, furtherFindings } from './ceremony.ts';
import { caFinding, certificateFindings, commonNameOf } from './certificates.ts';
import { type Check, type Finding, good, problem, problemOf, warning } from './check.ts';
import { databaseChecks } from './database.ts';
import { processHygiene } from './process-hygiene.ts';
import { type AskNode, runningNode } from './running-node.ts';
import { tokenChecks } from './tokens.ts';

/** Two for each worker, four for the primary (docs/operations.md). */
const connectionsPerSlot = 2;
const connectionsOfPrimary = 4;

/** Everything that a driver node rests on, in the order in which it is mended. */
export function driverChecks(configuration: DriverConfiguration, askNode: AskNode, log: Log): readonly Check[] {
  const { api, ceremonyFile, furtherCeremonyFiles, database, node, operations, slots } = configuration;
  const ceremony = () => readCeremonyFile(ceremonyFile);
  const further = () => furtherCeremonyFiles.map(readCeremonyFile);
  return [
    processHygiene(),
    { name: 'files', look: async () => files(configuration) },
    { name: 'state directory', look: async () => stateDirectory(configuration) },
    { name: 'operators and authorisations', look: async () => authorityFindings(configuration) },
    { name: 'ceremony file', needs: ['files'], look: async () => ceremonyFindings(ceremony()) },
    ...(furtherCeremonyFiles.length === 0
      ? []
      : [{ name: 'further ceremony files', needs: ['files'], look: async () => furtherFindings(further()) }]),
    ...(api === undefined ? [] : [clientCertificate(node, api)]),
    ...databaseChecks(database, {
      schema: driverSchema,
      appendOnly: ['journal', 'discarded_signature', 'audit_entry'],
      connections: connectionsOfPrimary + connectionsPerSlot * slots.length,
      log,
    }),
    ...(api === undefined ? [] : apiChecks(api)),
    ...tokenChecks(slots, ceremony, further),
    { name: 'operations address', look: async () => [operationsFinding(operations)] },
    ...(operations === undefined ? [] : [runningNode(askNode)]),
  ];
}

function clientCertificate(node: string, api: ApiAccess): Check {
  return {
    name: 'client certificate',
    needs: ['files'],
    look: async () => [
      ...certificateFindings({ what: 'client certificate', ...api }),
      nameFinding(node, api.certificateFile),
      caFinding('CA of the API', api.caFile),
    ],
  };
}

function files(configuration: DriverConfiguration): readonly Finding[] {
  const problems = fileProblems(configuration);
  return problems.length === 0
    ? [good('every file is there, and no secret can be read by others')]
    : problems.map(problemOf);
}

function stateDirectory({ stateDirectory: directory }: DriverConfiguration): readonly Finding[] {
  if (!existsSync(directory)) return [good(`${directory} will be made at the first start`)];
  const { mode, uid } = statSync(directory);
  if ((mode & 0o022) !== 0) {
    return [
      problem(`others can write into ${directory}`, 'Run chmod go-w on it: it remembers which PINs were refused'),
    ];
  }
  if (process.getuid?.() !== uid && process.getuid?.() !== 0)
    return [warning(`${directory} belongs to another user`, 'Run doctor as the user of the service')];
  return [good(`${directory} belongs to the node alone`)];
}

/** A certificate may also be known to the API by its fingerprint or a DNS name; then the name is free. */
function nameFinding(node: string, certificateFile: string): Finding {
  const name = commonNameOf(certificateFile);
  if (name === node) return good(`the certificate’s common name is ${node}`);
  const todo = 'Use this node’s certificate, unless the API knows it by fingerprint or DNS name';
  return warning(`the certificate’s common name is ${name ?? 'missing'}, the node’s is ${node}`, todo);
}

function operationsFinding(operations: DriverConfiguration['operations']): Finding {
  if (operations === undefined)
    return warning('there is no operations section', 'Without it no metrics, no probes and no hsm-driver status');
  const { host } = operations;
  if (['127.0.0.1', '::1', 'localhost'].includes(host))
    return good('the operations server is reached from this machine only');
  return warning(
    `the operations server listens on ${host}, unprotected`,
    'Let only the monitoring reach it (a network policy, a firewall)',
  );
}
