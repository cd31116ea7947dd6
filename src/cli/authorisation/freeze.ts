import { randomUUID } from 'node:crypto';
import { CodedError } from '../../shared/errors.ts';
import { type Freeze, insertFreeze } from '../../shared/freezes/freeze.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { carryOut } from './carry-out.ts';

/** `hsm-driver freeze`: one person is enough, because nothing is worse than what goes on meanwhile. */
export const command: Command = {
  name: 'freeze',
  summary: 'sign nothing more for a key, an organisation or the whole key store; every node obeys within a second',
  example:
    'hsm-driver freeze --config node-1.yaml --organisation or-abcde-fghij-klmnopqrstuvwxyz --reason "stolen laptop"',
  options: [
    { name: 'key', summary: 'id of the key to freeze', required: false, kind: 'text' },
    { name: 'organisation', summary: 'id of the organisation to freeze', required: false, kind: 'text' },
    { name: 'key-store', summary: 'freeze the whole key store of this node', required: false, kind: 'switch' },
    { name: 'reason', summary: 'why, for those who are asked to thaw it', required: true, kind: 'text' },
  ],
  async run({ config, text, switches }) {
    const reason = text.get('reason') ?? '';
    await withDriverDatabase(config, 'freeze', async (pool, configuration) => {
      const { keyStore, node } = configuration;
      const wanted: Omit<Freeze, 'id'>[] = [
        ...given('key', text.get('key')),
        ...given('organisation', text.get('organisation')),
        ...given('key-store', switches.has('key-store') ? keyStore : undefined),
      ];
      const [what] = wanted;
      if (what === undefined || wanted.length > 1)
        throw new CodedError('OPTION_INVALID', 'give one of --key, --organisation and --key-store');
      const freeze = { id: randomUUID(), ...what };
      const events = [{ kind: 'frozen', freeze: freeze.id, ...what, reason }] as const;
      await carryOut(pool, { configuration, command: 'freeze', events }, (client) =>
        insertFreeze(client, { ...freeze, reason, node }),
      );
      process.stdout.write(`Frozen: ${what.scope} ${what.subject}. To end it: hsm-driver thaw --freeze ${freeze.id}\n`);
    });
  },
};

function given(scope: Freeze['scope'], subject: string | undefined): Omit<Freeze, 'id'>[] {
  return subject === undefined ? [] : [{ scope, subject }];
}
