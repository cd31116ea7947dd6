import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pinnableCredentials } from '../../src/api/service-accounts/pinnable-credentials.ts';
import { listAuthority } from '../../src/cli/authorisation/list-authority.ts';
import type { OperatorsConfiguration } from '../../src/shared/configuration/sections.ts';
import {
  aboutCredentialList,
  type ListedCredential,
  pinnedOperations,
  readCredentialList,
} from '../../src/shared/credential-list/credential-list.ts';
import { listChanges, listText, nextList, withoutTheGone } from '../../src/shared/credential-list/next-list.ts';
import { type ListAuthority, newestList } from '../../src/shared/credential-list/stored-lists.ts';
import { createPool } from '../../src/shared/database/pool.ts';
import { createLog } from '../../src/shared/log.ts';
import { writeOrderFile } from '../../src/shared/orders/order-file.ts';
import { newOrder, readOperatorPrivateKey, signOrder } from '../../src/shared/orders/sign-order.ts';
import type { LocalDatabase } from './databases.ts';
import type { Places } from './places.ts';
import { type Program, runCommand } from './processes.ts';

/**
 * The local installation's one operator, who approves whatever the API says: for trying out. In real ones, several people
 * do this on machines of their own, and compare public keys with what the credentials' owners told them.
 */
export const operatorName = 'local-operator';

/** Their key: made once, below `.local/`. */
export function openOperator(places: Places): { operators: OperatorsConfiguration; privateKeyFile: string } {
  const files = {
    publicKeyFile: join(places.operator, 'operator.pem'),
    privateKeyFile: join(places.operator, 'operator.key'),
  };
  if (!existsSync(files.privateKeyFile)) {
    mkdirSync(places.operator, { recursive: true, mode: 0o700 });
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    writeFileSync(files.publicKeyFile, publicKey.export({ type: 'spki', format: 'pem' }));
    writeFileSync(files.privateKeyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  }
  return {
    operators: { threshold: 1, keys: [{ name: operatorName, publicKeyFile: files.publicKeyFile }] },
    privateKeyFile: files.privateKeyFile,
  };
}

export interface PinningParts {
  readonly places: Places;
  readonly databases: { readonly api: LocalDatabase; readonly driver: LocalDatabase };
  readonly keyStore: string;
  /** Of the node whose command installs the list. */
  readonly nodeConfig: string;
  readonly program?: Program | undefined;
}

/**
 * Approves and installs a list of all credentials that the API has, where the one in force is another.
 * @returns the version in force.
 */
export async function pinCredentials({
  places,
  databases,
  keyStore,
  nodeConfig,
  program,
}: PinningParts): Promise<number> {
  const { operators } = openOperator(places);
  // Its attestation key is that of every later one.
  const { ceremonyFile } = places;
  const { found, base } = await readBoth(databases, listAuthority({ keyStore, operators, ceremonyFile }));
  const list = nextList(keyStore, base, withoutTheGone(base?.credentials ?? [], found));
  if (base !== undefined && listChanges(base, list).length === 0) return base.version;
  const text = listText(list);
  const [listFile, orderFile] = ['list', 'order'].map((what) =>
    join(places.operator, `credentials-${list.version}.${what}.json`),
  ) as [string, string];
  writeFileSync(listFile, text);
  const order = newOrder({ keyStore, about: aboutCredentialList(text), reason: 'npm start' }, 3_600_000);
  writeOrderFile(
    orderFile,
    signOrder(order, operatorName, readOperatorPrivateKey(openOperator(places).privateKeyFile)),
    'w',
  );
  await runCommand(
    ['credentials', 'install', '--config', nodeConfig, '--list', listFile, '--order', orderFile],
    program,
  );
  return list.version;
}

async function readBoth({ api, driver }: PinningParts['databases'], authority: ListAuthority) {
  const options = { applicationName: 'local operator', max: 1, durability: 'durable' } as const;
  const log = createLog('silent', {});
  const [apiPool, driverPool] = [createPool(api, options, log), createPool(driver, options, log)];
  try {
    const stored = await newestList(driverPool, authority);
    const found = (await pinnableCredentials(apiPool)).map(
      ({ id, organisation, name, publicKey, may }): ListedCredential => ({
        id,
        organisation,
        name,
        publicKey,
        operations: pinnedOperations.filter(may),
      }),
    );
    return { found, base: stored && readCredentialList(stored.text) };
  } finally {
    await Promise.all([apiPool.end(), driverPool.end()]);
  }
}
