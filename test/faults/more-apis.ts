import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import type { ApiFile } from '../../scripts/local/installation.ts';
import { type LocalProcess, type Surroundings, startDriverProcess } from '../../scripts/local/processes.ts';
import { freePort } from '../../scripts/setup/free-port.js';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import type { Change, FaultSystem } from './fault-system.ts';
import type { Moment } from './moments.ts';

/** API processes beside the first one, all behind a layer-4 proxy that passes TLS through and leaves out dead ones. */
export interface MoreApis {
  /** Of the proxy, for applications; drivers go through their wires. */
  readonly baseUrl: string;
  /** How often applications were given to each, the first one first. */
  readonly connectionsOf: readonly number[];
  /** Kills one of the new ones at each of these moments, in turn, and starts it again. */
  killAt(moments: readonly Moment[]): Promise<void>;
  close(): Promise<void>;
}

interface Api {
  readonly name: string;
  readonly configFile: string;
  readonly applicationPort: number;
  readonly driverPort: number;
  /** To its database. */
  readonly wire: TcpProxy;
  process: LocalProcess;
}

export async function openMoreApis(
  system: FaultSystem,
  count: number,
  { change = (file) => file, ...where }: Surroundings & { readonly change?: Change<ApiFile> } = {},
): Promise<MoreApis> {
  const { places, ports } = system.system;
  const first = { applicationPort: ports.application, driverPort: ports.driver };
  const cleanUps: (() => void | Promise<void>)[] = [];
  const more: Api[] = [];
  const live = new Set<Api>();

  const spread = (): void => {
    system.driverPorts = [first, ...live].map(({ driverPort }) => driverPort);
  };
  const start = async (api: Omit<Api, 'process'> & { process?: LocalProcess }): Promise<Api> => {
    const started = startDriverProcess(
      api.name,
      ['api', '--config', api.configFile],
      join(places.logs, `${api.name}.log`),
      { program: system.program, ...where },
    );
    await started.line('signing API started');
    return Object.assign(api, { process: started });
  };
  const enter = (api: Api): void => {
    live.add(api);
    spread();
    void api.process.exited.then(() => {
      live.delete(api);
      spread();
    });
  };

  for (let at = 2; at < 2 + count; at++) {
    const [applicationPort, driverPort] = [await freePort(), await freePort()];
    const file = parse(readFileSync(places.apiConfig, 'utf8')) as ApiFile;
    const configFile = join(places.root, 'api', `config-${at}.yaml`);
    const wire = await openTcpProxy({ teardown: (handler) => cleanUps.push(handler) }, system.system.server.port);
    const own = {
      ...file,
      database: { ...file.database, port: wire.port },
      application: { ...file.application, port: applicationPort },
      driver: { ...file.driver, port: driverPort },
    };
    writeFileSync(configFile, stringify(await change(own)));
    const api = await start({ name: `api-${at}`, configFile, applicationPort, driverPort, wire });
    more.push(api);
    enter(api);
  }
  const connections = new Map([first, ...more].map(({ applicationPort }) => [applicationPort, 0]));
  let turn = 0;
  const proxy = await openTcpProxy({ teardown: (handler) => cleanUps.push(handler) }, () => {
    const all = [first, ...live];
    const { applicationPort } = all[turn++ % all.length] ?? first;
    connections.set(applicationPort, (connections.get(applicationPort) ?? 0) + 1);
    return applicationPort;
  });
  // Drivers come in by new connections only: spread them now.
  for (const wire of Object.values(system.wires.api)) wire.cut();

  return {
    baseUrl: `https://127.0.0.1:${proxy.port}`,
    get connectionsOf() {
      return [...connections.values()];
    },
    async killAt(moments) {
      for (const [time, moment] of moments.entries()) {
        const api = more[time % more.length] as Api;
        // Drivers’ connections are spread anew: each process gets its share of leases and outcomes.
        for (const wire of Object.values(system.wires.api)) wire.cut();
        await moment.reach(system, api.wire);
        process.kill(api.process.pid, 'SIGKILL');
        await api.process.exited;
        api.wire.cut();
        api.wire.thaw();
        await start(api);
        enter(api);
        await sleep(500);
      }
    },
    async close() {
      for (const api of more) {
        process.kill(api.process.pid, 'SIGKILL');
        await api.process.exited;
      }
      system.driverPorts = [first.driverPort];
      for (const cleanUp of cleanUps.splice(0)) await cleanUp();
    },
  };
}
