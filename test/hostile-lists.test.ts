import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { aboutCredentialList, type ListedCredential } from '../src/shared/credential-list/credential-list.ts';
import { listText } from '../src/shared/credential-list/next-list.ts';
import type { SignedOrder } from '../src/shared/orders/order.ts';
import { makeCaller, type TestKey } from './support/caller.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { nodeCommands } from './support/node-commands.ts';
import { makeOperators } from './support/operators.ts';
import { type Offer, openScriptedApi } from './support/scripted-api.ts';
import { keyStore, startSlotWorker } from './support/slot-worker.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { createSoftwareHsm } from './support/software-hsm.ts';
import { until } from './support/until.ts';

/**
 * Who has the password of a node's role may add lists of credentials without end. A revocation that the operators approved
 * must come in force beside them, by the real command, and no worker may go on by the list before it.
 */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const directory = temporaryDirectory(t);
const operators = makeOperators(directory, ['alice', 'bob', 'carol'], 2);
const hsm = createSoftwareHsm(keyStore);
const commands = nodeCommands(directory, {
  keyStore,
  database: databases.driver,
  operators,
  stateDirectory: temporaryDirectory(t),
  attestationKey: hsm.attestationKey,
});
const startWorker = () =>
  startSlotWorker(t, {
    api,
    certificates,
    database: databases.driver,
    hsm,
    policy: {
      operators: operators.configuration,
      authorisation: { mode: 'enforce' },
      stateDirectory: temporaryDirectory(t),
    },
  });
let worker = await startWorker();
const { pool } = worker;

const caller = makeCaller();
const other = makeCaller();
const revoked: ListedCredential = { ...caller.listed, operations: [] };
const ask = async (offer: Offer) => {
  api.offer(offer);
  return await api.outcome(offer.id);
};
const signs = (by: typeof caller, key: TestKey) =>
  ask(by.sign(key, { kind: 'Hash', hash: randomBytes(32).toString('hex') }));
const inForce = (version: number) =>
  until(`list ${version}`, () => worker.report().policy?.credentialList?.version === version);
const textOf = (version: number, credentials: ListedCredential[]): string =>
  listText({ version, keyStore, createdAt: new Date().toISOString(), credentials });
const run = async (...words: string[]): Promise<string> => {
  const { code, stdout, stderr } = await commands.run(...words);
  if (code !== 0) throw new Error(`${words.join(' ')}: ${stderr}`);
  return stdout;
};
/** Has the operators approve a list, and installs it. */
const install = async (listFile: string, text: string): Promise<SignedOrder> => {
  const order = operators.order(keyStore, aboutCredentialList(text));
  const orderFile = join(directory, `${order.order.id}.json`);
  writeFileSync(orderFile, JSON.stringify(order));
  await run('credentials', 'install', '--list', listFile, '--order', orderFile);
  return order;
};
const installNew = async (version: number, credentials: ListedCredential[]): Promise<SignedOrder> => {
  const text = textOf(version, credentials);
  const listFile = join(directory, `list-${version}-${randomUUID()}.json`);
  writeFileSync(listFile, text);
  return await install(listFile, text);
};
/** Rows as the role of a node may write them. @param versions in SQL, of `n` from 1 on */
const addRows = (rows: number, versions: string, list: string, order: string) =>
  pool.query(
    `insert into credential_list (version, list, signed_order, node)
     select ${versions}, $2, $3, 'x' from generate_series(1, $1) as n`,
    [rows, list, order],
  );

const first = await installNew(1, [caller.listed, other.listed]);
await inForce(1);
const offer = caller.newKey();
const made = await ask(offer);
if (made.kind !== 'PublicKey') throw new Error(JSON.stringify(made));
const key: TestKey = { id: offer.id, publicKey: made.publicKey };

t.test('a version that a bad list claimed for a while is not spoilt for a good one', async (t) => {
  await addRows(1, '2', '{"bad":true}', '{}');
  const refused = () =>
    worker.log.some(({ msg, version }) => msg === 'list of credentials is not good' && version === 2);
  await until('the bad list was looked at', refused);
  await databases.driverAsOwner('delete from credential_list where version = 2');
  await installNew(2, [caller.listed, other.listed]);
  await inForce(2);
  t.match(await signs(caller, key), { kind: 'Signatures' });
});

t.test(
  'a thousand bad lists of higher versions do not keep a revocation out, nor are they taken for one',
  async (t) => {
    await addRows(1, '2147483647', '{}', '{}');
    await addRows(400, '1000 + n', '{}', '{"order":{"id":"x"},"signatures":[]}');
    // What operators did approve, for another version and with another text.
    await addRows(300, '5000 + n', textOf(9, [caller.listed]), JSON.stringify(first));
    await addRows(300, '1', textOf(1, [caller.listed]), JSON.stringify(first));
    t.match(await signs(caller, key), { kind: 'Signatures' });

    const draft = join(directory, 'revoked.json');
    await run('credentials', 'revoke', '--credential', caller.listed.id, '--out', draft);
    const text = textOf(3, [revoked, other.listed]);
    writeFileSync(draft, text);
    await install(draft, text);
    await inForce(3);
    t.match(await signs(caller, key), { kind: 'Error', code: 'CREDENTIAL_NOT_PINNED' });
    t.match(await run('credentials', 'show'), /^version 3 of /);
  },
);

t.test('the next list is drafted from the one in force, whatever version rows claim', async (t) => {
  const draft = join(directory, 'next.json');
  t.match(
    await run('credentials', 'revoke', '--credential', other.listed.id, '--out', draft),
    /^~ .*may authorise nothing/m,
  );
  t.ok(existsSync(draft));
  const { version } = JSON.parse(await run('credentials', 'show', '--json')) as { version: number };
  t.equal(version, 3);
  rmSync(draft);
});

t.test('bad lists that come with a good one are all looked at before anything is decided', async (t) => {
  const text = textOf(4, [revoked]);
  const order = operators.order(keyStore, aboutCredentialList(text));
  await pool.query(
    `with bad as (
       insert into credential_list (version, list, signed_order, node) select 1000000 + n, '{}', '{}', 'x' from generate_series(1, 3000) as n
     )
     insert into credential_list (version, list, signed_order, node) values (4, $1, $2, 'x')`,
    [text, JSON.stringify(order)],
  );
  await inForce(4);
  t.match(await signs(caller, key), { kind: 'Error', code: 'CREDENTIAL_NOT_PINNED' });
});

t.test('a worker that starts among them finds the list in force before it decides anything', async (t) => {
  await worker.stop();
  worker = await startWorker();
  t.match(await signs(caller, key), { kind: 'Error', code: 'CREDENTIAL_NOT_PINNED' });
  await inForce(4);
  t.ok(worker.log.length < 2_000, 'and does not fill the log');
});
