import { type EarlierVersion, openEarlierVersion } from '../support/earlier-version.ts';
import { until } from '../support/until.ts';
import type { Fault } from './fault.ts';
import type { FaultSystem } from './fault-system.ts';
import { type MoreApis, openMoreApis } from './more-apis.ts';

/** A rolling upgrade: the databases are migrated first, then programs of version N-1 are replaced one at a time. */
let earlier: EarlierVersion | undefined;

async function impossible(): Promise<string | undefined> {
  const opened = await openEarlierVersion();
  if (typeof opened === 'string') return opened;
  earlier = opened;
  return undefined;
}

function found(): EarlierVersion {
  if (earlier === undefined) throw new Error('the earlier version was not looked for');
  return earlier;
}

async function nodeBecomesOlder(system: FaultSystem, n: number): Promise<void> {
  const older = found();
  await system.rewriteNode(n, older.node);
  await system.restartNode(n, 'SIGTERM', older);
}

/** The protocol file stays as version N-1 wrote it. */
async function nodeBecomesNew(system: FaultSystem, n: number): Promise<void> {
  let ceremonyFile = '';
  await system.rewriteNode(n, (older) => {
    ({ ceremonyFile } = older);
    return older;
  });
  system.restoreNode(n);
  await system.rewriteNode(n, (file) => ({ ...file, ceremonyFile }));
  await system.restartNode(n, 'SIGTERM');
}

/** Keys are made and used while both versions give and take work. */
async function makeKeys({ system: { sdk } }: FaultSystem): Promise<void> {
  for (let at = 0; at < 4; at++) {
    const { id } = await sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } });
    const hash = `0x${'5a'.repeat(32)}`;
    const { status } = await sdk.keys.generateSignature({ keyId: id, body: { kind: 'Hash', hash } });
    if (status !== 'Signed') throw new Error(`a new key signs, and the request is ${status}`);
  }
}

let more: MoreApis | undefined;
let signedBefore: readonly number[] = [];

/** Both versions at once, on both sides: any node asks any API, and both finish what the other one began. */
export const mixedVersions: Fault = {
  name: 'version N-1 and N of both sides together',
  impossible,
  async prepare(system) {
    const older = found();
    more = await openMoreApis(system, 1, { ...older, change: older.api });
    await nodeBecomesOlder(system, 1);
  },
  baseUrl: () => more?.baseUrl ?? '',
  async inject(system) {
    signedBefore = await Promise.all([1, 2].map((n) => system.signed(n)));
    await makeKeys(system);
    for (const n of [1, 2])
      await until(`node ${n} signs`, async () => (await system.signed(n)) > (signedBefore[n - 1] ?? 0) + 20);
  },
  async tidy(system) {
    await more?.close();
    await nodeBecomesNew(system, 1);
    system.restoreNode(1);
  },
  check: () => (more?.connectionsOf.every((count) => count > 0) ? [] : ['one of the API processes was not called']),
  expect: { during: ['ready'] },
};

/** The order passes through each pair: older node and API, newer node and older API, older node and newer API. */
export const rollingUpgrade: Fault = {
  name: 'rolling upgrade from version N-1: node 1, the API, node 2',
  impossible,
  async prepare(system) {
    const older = found();
    await system.rewriteApi(older.api);
    await system.restartApi('SIGTERM', older);
    for (const n of [1, 2]) await nodeBecomesOlder(system, n);
    await makeKeys(system);
  },
  async inject(system) {
    await nodeBecomesNew(system, 1);
    await signsAgain(system, 1);
    system.restoreApi();
    // That version waited for idle connections when it was asked to stop, for more than a minute.
    await system.restartApi('SIGKILL');
    await signsAgain(system, 2);
    await nodeBecomesNew(system, 2);
    await makeKeys(system);
  },
  tidy(system) {
    for (const n of [1, 2]) system.restoreNode(n);
  },
  expect: { during: ['not reachable'], retryOnce: true },
  hitsBoth: true,
};

async function signsAgain(system: FaultSystem, n: number): Promise<void> {
  const before = await system.signed(n);
  await until(`node ${n} signs`, async () => (await system.signed(n)) > before);
}

export const versionFaults: readonly Fault[] = [mixedVersions, rollingUpgrade];
