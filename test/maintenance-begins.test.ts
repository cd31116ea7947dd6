import t from 'tap';
import { openTestDatabases } from './support/database.ts';
import { installUnscheduled, maintenanceNode } from './support/maintenance-node.ts';
import { until } from './support/until.ts';

t.test('a node whose database fails in the moment it starts takes part once it answers again', async (t) => {
  const databases = await openTestDatabases(t);
  await installUnscheduled(databases.driver);
  await databases.driverAsOwner('alter table job_report rename to away');
  const node = maintenanceNode(t, { node: 'node-1', database: databases.driver });
  node.start();
  const said = (sentence: string) => until(sentence, () => node.log.some(({ msg }) => msg === sentence));
  await said('maintenance does not begin yet');
  t.equal(node.view().reachable, false);
  await databases.driverAsOwner('alter table away rename to job_report');
  await said('maintenance started');
  await until('its view is read', () => node.view().reachable);
});
