import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { createPool } from '../../src/shared/database/pool.ts';
import { createLog } from '../../src/shared/log.ts';
import { installMaintenance } from '../../src/shared/maintenance/install.ts';
import { makeCertificates } from './certificates.ts';
import { openTestDatabases, type TestDatabases } from './database.ts';
import { type DriverNode, startNode, writeNodeConfiguration } from './driver-node.ts';
import { createRotationStore, type RotationStore } from './rotation-store.ts';
import { openScriptedApi, type ScriptedApi } from './scripted-api.ts';
import { temporaryDirectory } from './soft-token.ts';

/** Two signing nodes with a token each, and what a rotation node needs: real processes over one database. */
export interface RotationCluster {
  readonly store: RotationStore;
  readonly api: ScriptedApi;
  readonly databases: TestDatabases;
  readonly pool: pg.Pool;
  /** Configuration files of the signing nodes. */
  readonly configs: readonly [string, string];
  readonly nodes: readonly [DriverNode, DriverNode];
  /** A file to give to the signing nodes and commands: from now on this key is current, those are further. */
  setKeys(current: string, further: readonly string[]): Promise<void>;
  readonly rotationConfig: string;
  /** @param change over its configuration: another node’s name, later keys, another token */
  startRotationNode(change?: Record<string, unknown>): DriverNode;
}

export async function openRotationCluster(
  t: Test,
  { keysPerSecond = 1_000, operators }: { keysPerSecond?: number; operators?: Record<string, unknown> } = {},
): Promise<RotationCluster> {
  const databases = await openTestDatabases(t);
  const log = createLog('error', {});
  await installMaintenance(databases.driver, log);
  const pool = createPool(databases.driver, { applicationName: 'test', max: 2, durability: 'relaxed' }, log);
  t.teardown(() => pool.end());
  const certificates = await makeCertificates(t);
  const api = await openScriptedApi(t, certificates);
  const store = await createRotationStore(t);
  const change = { maintenance: { pollSeconds: 0.5 }, log: { level: 'info' }, ...(operators && { operators }) };
  const keys = { ceremonyFile: store.ceremonyFile, furtherCeremonyFiles: [store.nextFile] };

  const files = new Map<string, Record<string, unknown>>();
  async function write(node: string, slot: RotationStore['rotation']): Promise<string> {
    const parts = { api, certificates, database: databases.driver, store, node, slots: [slot] };
    const stateDirectory = temporaryDirectory(t);
    const file = await writeNodeConfiguration(t, parts, { ...change, ...keys, stateDirectory });
    const { owner: _, ...database } = databases.driver;
    files.set(file, {
      ...{ kind: 'driver', node, keyStore: store.keyStore, database, stateDirectory, slots: [slot], ...change },
      api: { addresses: [api.address], caFile: certificates.serverCaFile, ...(await certificates.client(node)) },
    });
    return file;
  }
  const configs = [await write('node-1', store.slots[0]), await write('node-2', store.slots[1])] as const;
  const nodes = [startNode(t, configs[0]), startNode(t, configs[1])] as const;
  for (const node of nodes) await node.line('slot ready');

  const { owner: _, ...database } = databases.driver;
  function writeRotation(otherwise: Record<string, unknown> = {}): string {
    const directory = temporaryDirectory(t);
    const file = join(directory, 'rotation.yaml');
    const configuration = {
      ...{ kind: 'driver', node: 'rotation', keyStore: store.keyStore, database, ...change },
      rotation: { keysPerSecond },
      ceremonyFile: store.nextFile,
      furtherCeremonyFiles: [store.ceremonyFile],
      stateDirectory: directory,
      slots: [store.rotation],
    };
    writeFileSync(file, stringify({ ...configuration, ...otherwise }));
    return file;
  }
  const rotationConfig = writeRotation();

  return {
    ...{ store, api, databases, pool, configs, nodes, rotationConfig },
    async setKeys(current, further) {
      for (const [at, node] of nodes.entries()) {
        const before = node.count('slot ready');
        const file = configs[at] as string;
        writeFileSync(file, stringify({ ...files.get(file), ceremonyFile: current, furtherCeremonyFiles: further }));
        process.kill(node.pid, 'SIGHUP');
        await node.line('slot ready', undefined, before + 1);
      }
    },
    startRotationNode: (otherwise) => startNode(t, otherwise === undefined ? rotationConfig : writeRotation(otherwise)),
  };
}
