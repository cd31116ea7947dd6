import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openAuthority } from '../../scripts/local/certificates.ts';
import { openClient } from '../../scripts/local/client.ts';
import { type DatabaseServer, openDatabases } from '../../scripts/local/databases.ts';
import { holdCeremony, type Installation, openTokens, writeConfigurations } from '../../scripts/local/installation.ts';
import { placesBelow } from '../../scripts/local/places.ts';
import { runCommand } from '../../scripts/local/processes.ts';
import { openSecrets } from '../../scripts/local/secrets.ts';

export interface Trial {
  /** Seen under the same path by all processes of the trial. */
  readonly directory: string;
  /** Path of the PKCS#11 module. */
  readonly module: string;
  readonly database: DatabaseServer;
  /** By which the nodes and the self-test reach the API. */
  readonly apiHost: string;
  readonly ports: { readonly application: number; readonly driver: number };
  readonly operationsPorts: { readonly 1: number; readonly 2: number; readonly api: number };
  say(line: string): void;
}

/** Everything that an installation needs before its first process starts, made once, in the order of the deployment runbook. */
export async function prepare(trial: Trial): Promise<void> {
  const { say, database, apiHost, ports } = trial;
  const places = placesBelow(trial.directory);
  mkdirSync(places.root, { recursive: true });
  const secrets = openSecrets(places.secrets);
  const installation: Installation = {
    places,
    secrets,
    module: trial.module,
    adjust: {
      api: (file) => ({
        ...file,
        application: { ...file.application, host: '0.0.0.0' },
        driver: { ...file.driver, host: '0.0.0.0' },
        operations: { port: trial.operationsPorts.api },
      }),
      node: (file) => ({
        ...file,
        api: { ...file.api, addresses: [`https://${apiHost}:${ports.driver}`] } as NonNullable<typeof file.api>,
        stateDirectory: join(places.root, 'state', String(file.node)),
      }),
    },
  };
  await openTokens(installation);
  await holdCeremony(installation);
  say('two software tokens with one master key');
  const authorities = {
    application: await openAuthority(places.applicationCertificates, 'Trial application CA'),
    drivers: await openAuthority(places.driverCertificates, 'Trial driver CA'),
  };
  await authorities.application.issue('signing-api', 'server', [apiHost]);
  const databases = await openDatabases(database, secrets);
  const operations = { 1: trial.operationsPorts[1], 2: trial.operationsPorts[2] };
  await writeConfigurations(installation, authorities, databases, { ...ports, operations });
  for (const config of [places.apiConfig, join(places.node(1), 'config.yaml')])
    say((await runCommand(['migrate', '--config', config])).trim());
  await openClient(places, `https://${apiHost}:${ports.application}`, authorities.application.certificateFile);
  say(`ready: ${places.root}`);
}
