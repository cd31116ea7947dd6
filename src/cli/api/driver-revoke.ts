import { listNodes, revokeNode } from '../../api/driver/driver-nodes.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { withApiDatabase } from './api-database.ts';

export const command: Command = {
  name: 'api driver revoke',
  summary: 'refuse a driver node from now on: its connections are closed and its leases end',
  example: 'hsm-driver api driver revoke --config api.yaml --node node-3',
  options: [{ name: 'node', summary: 'name of the node', required: true, kind: 'text' }],
  async run({ config, text }) {
    const name = text.get('node') ?? '';
    await withApiDatabase(config, 'api driver', async (pool, { driver }) => {
      const node = [...(await listNodes(pool)), ...driver.nodes].find((one) => one.name === name);
      if (node === undefined) throw new CodedError('NOT_FOUND', `driver node ${name}`);
      const requeued = await revokeNode(pool, name, node.keyStore);
      process.stdout.write(`Node ${name} is revoked; ${requeued} requests that it held went back to the queue.\n`);
    });
  },
};
