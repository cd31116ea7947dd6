import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { aboutCredentialList } from '../src/shared/credential-list/credential-list.ts';
import { listText } from '../src/shared/credential-list/next-list.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { aboutThaw, insertFreeze } from '../src/shared/freezes/freeze.ts';
import { createLog } from '../src/shared/log.ts';
import type { OrderAbout, SignedOrder } from '../src/shared/orders/order.ts';
import { makeCaller } from './support/caller.ts';
import { openTestDatabases } from './support/database.ts';
import { nodeCommands } from './support/node-commands.ts';
import { makeOperators } from './support/operators.ts';
import { keyStore } from './support/slot-worker.ts';
import { temporaryDirectory } from './support/soft-token.ts';

/** Bad orders at the commands: refused with a sentence that says why, and not one row of the database is another one. */
const directory = temporaryDirectory(t);
const databases = await openTestDatabases(t);
const operators = makeOperators(directory, ['alice', 'bob', 'carol'], 2);
const strangers = makeOperators(temporaryDirectory(t), ['alice', 'bob'], 2);
const commands = nodeCommands(directory, {
  keyStore,
  database: databases.driver,
  operators,
  stateDirectory: join(directory, 'state'),
});
const pool = createPool(
  databases.driver,
  { applicationName: 'test', max: 1, durability: 'durable' },
  createLog('silent', {}),
);
t.teardown(() => pool.end());

/** Everything that the runtime role sees. */
async function everything(): Promise<Record<string, string>> {
  const { rows } = await pool.query<{ name: string }>(
    'select table_name as name from information_schema.tables where table_schema = current_schema() order by 1',
  );
  const found: Record<string, string> = {};
  for (const { name } of rows) {
    const { rows: content } = await pool.query(
      `select coalesce(jsonb_agg(to_jsonb(one)), '[]') as all from "${name}" one`,
    );
    found[name] = JSON.stringify(content);
  }
  return found;
}

const orderFile = (order: SignedOrder): string => {
  const file = join(directory, `${randomUUID()}.json`);
  writeFileSync(file, JSON.stringify(order));
  return file;
};
const list = (version: number): string => {
  const credentials = [makeCaller().listed];
  const text = listText({ version, keyStore, createdAt: new Date().toISOString(), credentials });
  writeFileSync(join(directory, `list-${version}.json`), text);
  return text;
};
const install = (version: number, order: string) =>
  commands.run('credentials', 'install', '--list', join(directory, `list-${version}.json`), '--order', order);

const freeze = randomUUID();
await insertFreeze(pool, { id: freeze, scope: 'key-store', subject: keyStore, reason: 'x', node: 'x' });
await pool.query(`insert into credential_list (version, list, signed_order, node) values (1, '{}', '{}', 'x')`);
const day = 86_400_000;

interface Verb {
  readonly about: OrderAbout;
  readonly run: (order: string) => ReturnType<typeof commands.run>;
}
const verbs: readonly Verb[] = [
  { about: aboutThaw(freeze), run: (order) => commands.run('thaw', '--freeze', freeze, '--order', order) },
  { about: aboutCredentialList(list(2)), run: (order) => install(2, order) },
  {
    about: { kind: 'pin-clear', subject: 'node-1/hsm-1' },
    run: (order) => commands.run('pin', 'clear', '--slot', 'hsm-1', '--yes', '--order', order),
  },
];

for (const { about, run } of verbs)
  t.test(`${about.kind}: a bad order is refused, and nothing is changed`, async (t) => {
    const before = await everything();
    const order = (by?: readonly string[], atMs?: number) => operators.order(keyStore, about, by, atMs);
    const bad: readonly [string, SignedOrder, RegExp][] = [
      [
        'signed by keys of no operator',
        strangers.order(keyStore, about),
        /signature of alice is not by the key of alice/,
      ],
      ['M-1 signatures', order(['carol']), /1 of the 2 operators that it needs signed it \(carol\)/],
      ['expired, or by a clock that jumped ahead', order(undefined, Date.now() - day), /it expired at .* clock says/],
      ['by a clock that jumped back', order(undefined, Date.now() + day), /it is not valid before .* clock says/],
      ['for another key store', operators.order('other', about), /it orders .*, key store other; wanted is/],
      ['for another subject', operators.order(keyStore, { ...about, subject: 'x' }), /it orders .* of x/],
    ];
    const refusals = await Promise.all(bad.map(([, signed]) => run(orderFile(signed))));
    for (const [at, [what, , why]] of bad.entries()) t.match(refusals[at], { code: 25, stderr: why }, what);
    t.strictSame(await everything(), before, 'nothing was changed');
    const good = orderFile(order());
    t.equal((await run(good)).code, 0, 'and a good one is carried out');
    const after = await everything();
    t.notSame(after, before);
    t.match(await run(good), { code: 25, stderr: /ORDER_USED|CREDENTIAL_LIST_OLD/ }, 'once');
    t.strictSame(await everything(), after);
  });

t.test(
  'credentials: an older version, and a list that is not what was approved, are refused and change nothing',
  async (t) => {
    const about = aboutCredentialList(list(3));
    t.equal((await install(3, orderFile(operators.order(keyStore, about)))).code, 0);
    const before = await everything();
    const older = operators.order(keyStore, aboutCredentialList(list(2)));
    t.match(await install(2, orderFile(older)), { code: 25, stderr: /CREDENTIAL_LIST_OLD: .*version 2/ });
    const approved = operators.order(keyStore, aboutCredentialList(list(4)));
    list(4);
    t.match(await install(4, orderFile(approved)), {
      code: 25,
      stderr: /ORDER_REFUSED: .*it orders credentials of version 4/,
    });
    t.strictSame(await everything(), before);
  },
);
