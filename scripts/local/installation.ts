import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import type { z } from 'zod';
import { initialiseSoftToken } from '../../src/ceremony/initialise-token.ts';
import { readCeremonyFile } from '../../src/shared/ceremony-file.ts';
import type { apiConfiguration } from '../../src/shared/configuration/api.ts';
import type { driverConfiguration } from '../../src/shared/configuration/driver.ts';
import { freePort } from '../setup/free-port.js';
import type { Authority } from './certificates.ts';
import type { LocalDatabase } from './databases.ts';
import { openOperator } from './operator.ts';
import type { Places } from './places.ts';
import { type Program, runCommand, type Surroundings } from './processes.ts';
import type { Secrets } from './secrets.ts';

/** Two driver nodes with one HSM each: separate tokens, the same master key. */
export const nodeNumbers = [1, 2] as const;
export const keyStore = 'local';

export interface Installation {
  readonly places: Places;
  readonly secrets: Secrets;
  /** Path of the PKCS#11 module. */
  readonly module: string;
  /** What nodes do with requests that no pinned credential authorised. Absent: the API is believed. */
  readonly enforced?: boolean;
  readonly adjust?: Adjustments;
  readonly program?: Program;
}

export interface Databases {
  readonly api: LocalDatabase;
  readonly driver: LocalDatabase;
}

export type ApiFile = z.input<typeof apiConfiguration>;
export type NodeFile = z.input<typeof driverConfiguration>;

/** For tests: what stands between the parts, or other limits. Each is given a configuration before it is written. */
export interface Adjustments {
  api?(configuration: ApiFile): ApiFile | Promise<ApiFile>;
  node?(configuration: NodeFile, n: number): NodeFile | Promise<NodeFile>;
  /** After the databases were migrated, before anything uses them. */
  migrated?(databases: Databases): Promise<void>;
  /** Where a node runs, when its start does not say. */
  where?(n: number): Surroundings;
}

function slotOf({ places, secrets, module }: Installation, n: number) {
  return tokenIn(places.token(n), `hsm-${n}`, secrets, module);
}

function backupOf({ places, secrets, module }: Installation) {
  return tokenIn(places.backupToken, 'backup', secrets, module);
}

function tokenIn(directory: string, name: string, secrets: Secrets, module: string) {
  return {
    name,
    module,
    environment: { SOFTHSM2_CONF: join(directory, 'softhsm2.conf') },
    tokenLabel: name,
    pinFile: secrets.pin(`${name}.pin`).file,
  };
}

/** Makes the two software tokens that stand for two HSMs; tokens that are there are left alone. */
export async function openTokens(installation: Installation): Promise<void> {
  for (const n of nodeNumbers) await openToken(installation, installation.places.token(n), slotOf(installation, n));
}

async function openToken(
  { secrets, module }: Installation,
  directory: string,
  { name, environment, tokenLabel }: ReturnType<typeof tokenIn>,
): Promise<void> {
  const done = join(directory, 'initialised');
  if (existsSync(done)) return;
  mkdirSync(join(directory, 'tokens'), { recursive: true, mode: 0o700 });
  writeFileSync(
    environment.SOFTHSM2_CONF,
    `directories.tokendir = ${join(directory, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  );
  await initialiseSoftToken({
    module,
    environment,
    label: tokenLabel,
    soPin: secrets.pin(`${name}.so-pin`).value,
    pin: secrets.pin(`${name}.pin`).value,
  });
  writeFileSync(done, `${new Date().toISOString()}\n`);
}

/**
 * The ceremony, as a rehearsal: one master key for both tokens and a backup token, never outside an HSM in the clear. Its
 * protocol file pins it.
 */
export async function holdCeremony(installation: Installation): Promise<void> {
  const { places, program } = installation;
  if (existsSync(places.ceremonyFile)) return;
  await openToken(installation, places.backupToken, backupOf(installation));
  writeYaml(places.ceremony, {
    kind: 'ceremony',
    keyStore,
    ceremonyFile: places.ceremonyFile,
    backup: backupOf(installation),
    tokens: nodeNumbers.map((n) => slotOf(installation, n)),
  });
  await runCommand(['ceremony', '--config', places.ceremony, '--yes'], program);
}

export interface WantedPorts {
  readonly application: number;
  readonly driver: number;
}

export interface Ports extends WantedPorts {
  /** Of each node’s operations server, by the node’s number. */
  readonly operations: Readonly<Record<number, number>>;
}

/**
 * Ports are kept from run to run where they are free, so that `client.json` stays right.
 * @param wanted for the first run; 0 = any.
 */
export async function choosePorts(places: Places, wanted: WantedPorts): Promise<Ports> {
  const file = join(places.root, 'ports.json');
  const before: WantedPorts & Partial<Ports> = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : wanted;
  const operations: Record<number, number> = {};
  for (const n of nodeNumbers) operations[n] = await freePort(before.operations?.[n] ?? 0);
  const ports = { application: await freePort(before.application), driver: await freePort(before.driver), operations };
  writeFileSync(file, `${JSON.stringify(ports)}\n`);
  return ports;
}

export interface Authorities {
  readonly application: Authority;
  readonly drivers: Authority;
}

/** Writes the configuration of the API and of both nodes; they can be stopped, broken and started by hand with these. */
export async function writeConfigurations(
  installation: Installation,
  authorities: Authorities,
  databases: Databases,
  ports: Ports,
): Promise<void> {
  const { places, secrets, enforced = false, adjust = {} } = installation;
  const listener = { host: '127.0.0.1', ...(await authorities.application.issue('signing-api', 'server')) };
  const api: ApiFile = {
    kind: 'api',
    application: { ...listener, port: ports.application },
    driver: {
      ...listener,
      port: ports.driver,
      clientCaFile: authorities.drivers.certificateFile,
      nodes: nodeNumbers.map((n) => ({ name: `node-${n}`, keyStore })),
    },
    database: databases.api,
    userActionSecretFile: secrets.password('user-action-secret').file,
    keyStores: [
      {
        id: keyStore,
        primary: true,
        attestationPublicKey: readCeremonyFile(places.ceremonyFile).attestationKey.publicKey,
      },
    ],
  };
  writeYaml(places.apiConfig, (await adjust.api?.(api)) ?? api);
  for (const n of nodeNumbers) {
    const node: NodeFile = {
      kind: 'driver',
      node: `node-${n}`,
      keyStore,
      api: {
        addresses: [`https://127.0.0.1:${ports.driver}`],
        caFile: authorities.application.certificateFile,
        ...(await authorities.drivers.issue(`node-${n}`, 'client')),
      },
      database: databases.driver,
      ceremonyFile: keysInUse(places).current,
      furtherCeremonyFiles: [...keysInUse(places).further],
      slots: [{ ...slotOf(installation, n), sessions: 2 }],
      operations: { port: ports.operations[n] ?? 0 },
      ...(enforced ? { operators: openOperator(places).operators, authorisation: { mode: 'enforce' } } : {}),
    };
    writeYaml(join(places.node(n), 'config.yaml'), (await adjust.node?.(node, n)) ?? node);
  }
}

function writeYaml(file: string, content: unknown): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, stringify(content));
}

/** The protocol files that nodes work with: the current one, and further ones while a key is rotated. */
export interface KeysInUse {
  readonly current: string;
  readonly further: readonly string[];
}

export function keysInUse(places: Places): KeysInUse {
  if (!existsSync(places.keysInUse)) return { current: places.ceremonyFile, further: [] };
  return JSON.parse(readFileSync(places.keysInUse, 'utf8')) as KeysInUse;
}

export function writeKeysInUse(places: Places, keys: KeysInUse): void {
  writeFileSync(places.keysInUse, `${JSON.stringify(keys)}\n`);
}

export type LocalToken = ReturnType<typeof tokenIn>;

/** A fresh token for one rotation. */
export async function openRotationToken(installation: Installation, number: number): Promise<LocalToken> {
  const { places, secrets, module } = installation;
  const directory = join(places.root, `tokens/rotation-${number}`);
  const token = tokenIn(directory, `rotation-${number}`, secrets, module);
  await openToken(installation, directory, token);
  return token;
}

/** The ceremony’s configuration with a rotation token, for the keys of a protocol file. */
export function rotationCeremony(installation: Installation, ceremonyFile: string, rotation: LocalToken) {
  const tokens = nodeNumbers.map((n) => slotOf(installation, n));
  return { kind: 'ceremony', keyStore, ceremonyFile, backup: backupOf(installation), rotation, tokens };
}
