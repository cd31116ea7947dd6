import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { parse, stringify } from 'yaml';
import { openAuthority } from '../../scripts/local/certificates.ts';
import type { Adjustments, ApiFile, NodeFile } from '../../scripts/local/installation.ts';
import type { LocalProcess, Program, Surroundings } from '../../scripts/local/processes.ts';
import type { NodeStatus } from '../../src/primary/operations/status.ts';
import { connectionOptions } from '../../src/shared/database/pool.ts';
import { buildFaultModule, type FaultControl, openFaultControl } from '../support/fault-module/fault-module.ts';
import type { NetworkHosts } from '../support/network-hosts.ts';
import type { LoadKey } from '../support/signing-application.ts';
import { temporaryDirectory } from '../support/soft-token.ts';
import { openSystem, type SystemUser, type TestSystem } from '../support/system.ts';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

/**
 * The whole system with every wire and both HSMs in our hands: a fault module in front of each token, a proxy on each
 * way that a node or the API goes to another part. Applications reach the API without one.
 */
export interface FaultSystem {
  readonly system: TestSystem;
  /** What its processes run; undefined: the sources. */
  readonly program: Program | undefined;
  /** Of both HSMs; rules for one of them have its `tag`: node-1 or node-2. */
  readonly control: FaultControl;
  readonly keys: readonly LoadKey[];
  readonly wires: {
    /** From each node to the API’s driver listener. */
    readonly api: Readonly<Record<number, TcpProxy>>;
    /** From node 1 to the driver database, and from the API to its own. */
    readonly driverDatabase: TcpProxy;
    readonly apiDatabase: TcpProxy;
  };
  /** Where each node has a host of its own: it has no wires to the API and to the driver database then. */
  readonly hosts?: NetworkHosts;
  /** The processes that run now, by node; and the API. */
  readonly nodes: Map<number, LocalProcess>;
  /** Ends a node with this signal, if it runs, and starts it again. */
  restartNode(n: number, signal: NodeJS.Signals, where?: Surroundings): Promise<void>;
  readonly api: LocalProcess;
  restartApi(signal: NodeJS.Signals, where?: Surroundings): Promise<void>;
  restartDatabase(): Promise<void>;
  /** Resolves when the API and its database are there, restarts that are on their way included. */
  back(): Promise<unknown>;
  /** Ports of the driver listeners behind the wires: connections go to each in turn. */
  driverPorts: readonly number[];
  /** What the operations server of a node says; undefined: it does not answer. */
  status(n: number): Promise<NodeStatus | undefined>;
  /** From this moment (milliseconds since 1970) until a worker of the node that had not called before asks for work. */
  firstPollAfter(n: number, atMs: number): Promise<number>;
  /** Signatures that a node has reported since it started. */
  signed(n: number): Promise<number>;
  /** The wrapped key as the driver database has it, hex. */
  blobOf(keyId: string): Promise<string>;
  /** Asks a database, by a connection of its own without wires. */
  query<Row extends pg.QueryResultRow>(
    database: 'api' | 'driver',
    statement: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
  /** Rewrites a node’s configuration file; SIGHUP or a start puts it in force. */
  rewriteNode(n: number, change: Change<NodeFile>): Promise<void>;
  rewriteApi(change: Change<ApiFile>): Promise<void>;
  /** The file as it was at first. */
  restoreNode(n: number): void;
  restoreApi(): void;
}

export type Change<File> = (file: File) => File | Promise<File>;

/** On a host of its own no other process has it. */
const operationsPort = 9_464;

export const nodeTag = (n: number): string => `node-${n}`;

export interface FaultSystemChoices {
  /** Other settings for each slot. */
  readonly slot?: Partial<NodeFile['slots'][number]>;
  readonly hosts?: NetworkHosts;
  /** Default: from the sources. */
  readonly program?: Program;
}

export async function openFaultSystem(
  t: SystemUser,
  { slot = {}, hosts, program }: FaultSystemChoices = {},
): Promise<FaultSystem> {
  const module = await buildFaultModule();
  const control = openFaultControl(temporaryDirectory(t));
  const apiWires: Record<number, TcpProxy> = {};
  const databaseWires: Partial<Record<'driver' | 'api', TcpProxy>> = {};
  let driverPorts: readonly number[] = [];
  let turn = 0;
  const nextDriverPort = (): number => driverPorts[turn++ % driverPorts.length] as number;

  const adjust: Adjustments = {
    async api(file) {
      driverPorts = [file.driver.port];
      const wire = await openTcpProxy(t, file.database.port as number);
      databaseWires.api = wire;
      const database = { ...file.database, port: wire.port };
      return { ...file, database, driver: hosts === undefined ? file.driver : await listenOn(hosts.address, file) };
    },
    where: (n) => (hosts === undefined ? {} : { via: hosts.host(n).via }),
    async node(file, n) {
      const { api } = file;
      if (api === undefined) throw new Error('the nodes of this system sign');
      return {
        ...file,
        ...(hosts === undefined ? await throughWires(file, n) : await fromItsHost(hosts, file, n)),
        slots: file.slots.map((one) => ({
          ...one,
          ...slot,
          module,
          environment: { ...one.environment, ...control.tagged(nodeTag(n)) },
        })),
      };
    },
  };
  const system = await openSystem(t, adjust, {
    ...(program && { program }),
    untilReady: hosts === undefined,
  });

  async function throughWires({ api, database }: NodeFile, n: number): Promise<Partial<NodeFile>> {
    const wire = await openTcpProxy(t, nextDriverPort);
    apiWires[n] = wire;
    if (n === 1) databaseWires.driver = await openTcpProxy(t, database.port as number);
    return {
      ...(api && { api: { ...api, addresses: [`https://127.0.0.1:${wire.port}`] } }),
      database: n === 1 ? { ...database, port: databaseWires.driver?.port } : database,
    };
  }

  async function fromItsHost(hosts: NetworkHosts, { api, database }: NodeFile, n: number): Promise<Partial<NodeFile>> {
    databaseWires.driver ??= await openTcpProxy(t, database.port as number, hosts.address);
    return {
      ...(api && { api: { ...api, addresses: [`https://${hosts.address}:${driverPorts[0]}`] } }),
      database: { ...database, host: hosts.address, port: databaseWires.driver.port },
      operations: { host: hosts.host(n).address, port: operationsPort },
    };
  }

  const { ports, places, sdk } = system;
  const { driver: driverDatabase, api: apiDatabase } = databaseWires;
  if (driverDatabase === undefined || apiDatabase === undefined) throw new Error('no wire to a database');

  const curves = ['secp256k1', 'secp256k1', 'secp256k1', 'ed25519'] as const;
  const keys: LoadKey[] = [];
  for (const curve of curves) {
    const scheme = curve === 'ed25519' ? 'EdDSA' : 'ECDSA';
    const { id, publicKey } = await sdk.keys.createKey({ body: { scheme, curve } });
    keys.push({ id, publicKey, curve });
  }

  const operationsOf = (n: number): string =>
    hosts === undefined ? `127.0.0.1:${ports.operations[n]}` : `${hosts.host(n).address}:${operationsPort}`;

  async function page(n: number, path: string): Promise<string | undefined> {
    try {
      const signal = AbortSignal.timeout(2_000);
      const answer = await fetch(`http://${operationsOf(n)}${path}`, { signal });
      return await answer.text();
    } catch {
      return undefined;
    }
  }

  async function query<Row extends pg.QueryResultRow>(
    database: 'api' | 'driver',
    statement: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    const options = connectionOptions(system.databases[database], { applicationName: 'test', durability: 'durable' });
    const client = new pg.Client(options);
    await client.connect();
    try {
      return (await client.query<Row>(statement, [...values])).rows;
    } finally {
      await client.end();
    }
  }

  const nodes = new Map(system.nodes.map((node, at) => [at + 1, node]));
  let { api } = system;
  let back: Promise<unknown> = Promise.resolve();
  const during = (restart: Promise<void>): Promise<void> => {
    back = restart.catch(() => {});
    return restart;
  };

  const configurations = [places.apiConfig, ...[...nodes.keys()].map((n) => join(places.node(n), 'config.yaml'))];
  const atFirst = new Map(configurations.map((file) => [file, readFileSync(file)]));
  const restore = (file: string): void => writeFileSync(file, atFirst.get(file) ?? '');

  async function end({ pid, exited }: LocalProcess, signal: NodeJS.Signals): Promise<void> {
    try {
      process.kill(pid, signal);
    } catch (error) {
      // It ended by itself.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    await exited;
  }

  return {
    system,
    program,
    control,
    keys,
    wires: { api: apiWires, driverDatabase, apiDatabase },
    ...(hosts === undefined ? {} : { hosts }),
    nodes,
    async restartNode(n, signal, where) {
      const before = nodes.get(n);
      if (before !== undefined) await end(before, signal);
      const after = system.startNode(n, where);
      nodes.set(n, after);
      await inTime(`node ${n} has no slot ready`, after.line('slot ready'));
    },
    get api() {
      return api;
    },
    restartApi: (signal, where) =>
      during(
        (async () => {
          await end(api, signal);
          api = system.startApi(where);
          await inTime('the API has not started', api.line('signing API started'));
        })(),
      ),
    restartDatabase: () => during(system.restartDatabase()),
    back: () => back,
    get driverPorts() {
      return driverPorts;
    },
    set driverPorts(wanted) {
      driverPorts = wanted;
    },
    async status(n) {
      const text = await page(n, '/status');
      return text === undefined ? undefined : (JSON.parse(text) as NodeStatus);
    },
    async firstPollAfter(n, atMs) {
      let polledMs = Number.NaN;
      await until(`a new worker of node ${n} polls`, async () => {
        const [row] = await query<{ at_ms: number | null }>(
          'api',
          `select extract(epoch from min(started_at))::float8 * 1000 as at_ms from driver_instance
           where node = $1 and started_at > to_timestamp($2::float8 / 1000)`,
          [nodeTag(n), atMs],
        );
        polledMs = row?.at_ms ?? Number.NaN;
        return Number.isFinite(polledMs);
      });
      return polledMs - atMs;
    },
    async signed(n) {
      const lines = ((await page(n, '/metrics')) ?? '').split('\n');
      const ours = lines.filter((line) => /^hsm_driver_requests_total\{.*kind="Sign".*outcome="signed"/.test(line));
      return ours.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    async blobOf(keyId) {
      const [row] = await query<{ blob: Buffer }>('driver', 'select blob from wrapped_key where key_id = $1', [keyId]);
      if (row === undefined) throw new Error(`no wrapped key ${keyId}`);
      return row.blob.toString('hex');
    },
    query,
    rewriteNode: (n, change) => rewrite(join(places.node(n), 'config.yaml'), change),
    rewriteApi: (change) => rewrite(places.apiConfig, change),
    restoreNode: (n) => restore(join(places.node(n), 'config.yaml')),
    restoreApi: () => restore(places.apiConfig),
  };
}

const startLimitMs = 60_000;

async function inTime<Value>(late: string, work: Promise<Value>): Promise<Value> {
  const clock = new AbortController();
  const limit = sleep(startLimitMs, undefined, { signal: clock.signal }).then(() => {
    throw new Error(`${late} within ${startLimitMs} ms`);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clock.abort();
    limit.catch(() => {});
  }
}

/** The API’s driver listener where the nodes’ hosts reach it, with a certificate for that address. */
async function listenOn(host: string, { driver }: ApiFile): Promise<ApiFile['driver']> {
  const authority = await openAuthority(dirname(driver.certificateFile), 'Local application CA');
  return { ...driver, host, ...(await authority.issue('signing-api-drivers', 'server', [host])) };
}

async function rewrite<File>(file: string, change: Change<File>): Promise<void> {
  writeFileSync(file, stringify(await change(parse(readFileSync(file, 'utf8')) as File)));
}
