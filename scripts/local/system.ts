import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Releasers } from '../../src/shared/releasers.ts';
import { type PostgresServer, startPostgres } from '../setup/postgres.js';
import { type Authority, openAuthority } from './certificates.ts';
import { type ClientFile, openClient } from './client.ts';
import { openDatabases } from './databases.ts';
import {
  type Adjustments,
  choosePorts,
  type Databases,
  holdCeremony,
  keyStore,
  nodeNumbers,
  openTokens,
  type Ports,
  type WantedPorts,
  writeConfigurations,
} from './installation.ts';
import { pinCredentials } from './operator.ts';
import { type Places, placesBelow } from './places.ts';
import {
  type LocalProcess,
  type Program,
  runCommand,
  type Surroundings,
  startDriverProcess,
  stopMs,
} from './processes.ts';
import { openSecrets } from './secrets.ts';

/** The whole system on one machine: PostgreSQL, two software tokens that share a master key, the API, two nodes. */
export interface LocalSystem {
  readonly places: Places;
  readonly server: PostgresServer;
  readonly databases: Databases;
  readonly ports: Ports;
  readonly authorities: { readonly application: Authority; readonly drivers: Authority };
  readonly client: ClientFile;
  readonly api: LocalProcess;
  readonly nodes: readonly LocalProcess[];
  startApi(where?: Surroundings): LocalProcess;
  startNode(n: number, where?: Surroundings): LocalProcess;
  /** Stops PostgreSQL and starts it again on the same port and data. */
  restartDatabase(): Promise<void>;
}

export interface SystemOptions {
  readonly directory: string;
  /** Path of the PKCS#11 module. */
  readonly module: string;
  /** For the first start; 0 = any. */
  readonly ports: WantedPorts;
  /** False: the database may be lost with the machine. */
  readonly durable: boolean;
  /** Nodes carry out only what a pinned credential authorised; every credential of the API is pinned. */
  readonly enforced?: boolean;
  readonly adjust?: Adjustments;
  /** Default: from the sources. */
  readonly program?: Program;
  readonly say: (line: string) => void;
  /** Everything that is started registers its stop here. */
  readonly releasers: Releasers;
}

/** Starts everything, what is missing is made first. Returns when both nodes have a slot that is ready. */
export async function startSystem(options: SystemOptions): Promise<LocalSystem> {
  const { say, releasers, program, enforced = false } = options;
  const places = placesBelow(options.directory);
  mkdirSync(places.root, { recursive: true });
  const secrets = openSecrets(places.secrets);
  const installation = {
    places,
    secrets,
    module: options.module,
    enforced,
    ...(options.adjust && { adjust: options.adjust }),
    ...(program && { program }),
  };

  const postgres = { dataDirectory: places.postgres, durable: options.durable, log: say };
  const server = await startPostgres(postgres);
  let running = server;
  releasers.add('PostgreSQL', () => running.stop(), stopMs);
  const restartDatabase = async (): Promise<void> => {
    await running.stop();
    running = await startPostgres({ ...postgres, port: server.port });
  };
  const databases = await openDatabases(server, secrets);
  say(`PostgreSQL         127.0.0.1:${server.port}, databases ${databases.api.name} and ${databases.driver.name}`);

  await openTokens(installation);
  await holdCeremony(installation);
  const tokens = nodeNumbers.map((n) => `hsm-${n}`).join(' and ');
  say(`HSMs               ${tokens} (software tokens), one master key, ${places.shown(places.ceremonyFile)}`);

  const ports = await choosePorts(places, options.ports);
  const authorities = {
    application: await openAuthority(places.applicationCertificates, 'Local application CA'),
    drivers: await openAuthority(places.driverCertificates, 'Local driver CA'),
  };
  await writeConfigurations(installation, authorities, databases, ports);
  const nodeConfig = (n: number): string => join(places.node(n), 'config.yaml');
  await Promise.all([
    runCommand(['migrate', '--config', places.apiConfig], program),
    runCommand(['migrate', '--config', nodeConfig(1)], program),
  ]);
  await options.adjust?.migrated?.(databases);

  const start = (name: string, args: readonly string[], where?: Surroundings): LocalProcess => {
    const child = startDriverProcess(name, args, join(places.logs, `${name}.log`), { program, ...where });
    children.push(child);
    return child;
  };
  const startApi = (where?: Surroundings) => start('api', ['api', '--config', places.apiConfig], where);
  const startNode = (n: number, where = options.adjust?.where?.(n)) =>
    start(`node-${n}`, ['run', '--config', nodeConfig(n)], where);
  // Who works stops before who gives work, so that what is in the HSM is still reported.
  const children: LocalProcess[] = [];
  const stopAll = (mine: (name: string) => boolean) =>
    Promise.all(children.filter(({ name }) => mine(name)).map((child) => child.stop()));
  releasers.add('signing API', () => stopAll((name) => name === 'api'), stopMs + 500);
  releasers.add('driver nodes', () => stopAll((name) => name !== 'api'), stopMs + 500);

  const api = startApi();
  await api.line('signing API started');
  const baseUrl = `https://127.0.0.1:${ports.application}`;
  const driverUrl = `https://127.0.0.1:${ports.driver}`;
  say(`Signing API        ${baseUrl} (applications), ${driverUrl} (drivers), ${places.shown(places.apiConfig)}`);

  const client = await openClient(places, baseUrl, authorities.application.certificateFile, program);
  if (enforced) {
    const version = await pinCredentials({ places, databases, keyStore, nodeConfig: nodeConfig(1), program });
    say(`Authorisations     checked by the drivers; list of credentials ${version}, ${places.shown(places.operator)}`);
  }
  const nodes = nodeNumbers.map((n) => startNode(n));
  await Promise.all(nodes.map((node) => node.line('slot ready')));
  for (const n of nodeNumbers) {
    const operations = `http://127.0.0.1:${ports.operations[n]}/status`;
    say(`Driver node-${n}      hsm-${n}, ${operations}, ${places.shown(nodeConfig(n))}`);
  }
  say(`Client             ${places.shown(places.client)} (organisation ${client.orgId})`);
  say(`Logs               ${places.shown(places.logs)}`);
  return { places, server, databases, ports, authorities, client, api, nodes, startApi, startNode, restartDatabase };
}
