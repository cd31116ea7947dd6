import t from 'tap';
import { askForRotation } from '../src/cli/keys/rotation-job.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { openBossForCommand } from '../src/shared/maintenance/boss.ts';
import { openTestDatabases } from './support/database.ts';
import { installUnscheduled } from './support/maintenance-node.ts';

const queue = 'master-key-rotation';
const databases = await openTestDatabases(t);
await installUnscheduled(databases.driver);
const quiet = createLog('silent', {});
const pool = createPool(databases.driver, { applicationName: 'test', durability: 'durable', max: 2 }, quiet);
const boss = openBossForCommand(pool);
await boss.start();
t.teardown(async () => {
  await boss.stop({ graceful: false });
  await pool.end();
});

async function waiting(): Promise<number> {
  return (await boss.findJobs(queue)).filter(({ state }) => state === 'created').length;
}

t.test('a rotation that is resumed while its last job is just ending gets another job', async (t) => {
  await askForRotation(pool, 'master-key');
  const [ending] = await boss.fetch(queue);
  if (ending === undefined) throw new Error('it was asked for');
  let told = false;
  const asked = askForRotation(pool, 'master-key').then(() => {
    told = true;
  });
  await waiting();
  t.notOk(told, 'there is none to be had while one is at work');
  await boss.complete(queue, ending.id);
  await asked;
  t.equal(await waiting(), 1);
});

t.test('one that waits is enough', async (t) => {
  await askForRotation(pool, 'master-key');
  t.equal(await waiting(), 1);
});
