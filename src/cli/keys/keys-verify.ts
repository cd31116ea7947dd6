import { CodedError } from '../../shared/errors.ts';
import { namedKeys, namedKeysChecked } from '../../shared/maintenance/named-keys.ts';
import type { Command } from '../command.ts';
import { jobEnd } from '../node/job-end.ts';
import { withMaintenanceQueue } from '../node/maintenance-queue.ts';
import { table } from '../table.ts';

/** A node with a ready slot opens the keys: this command needs no HSM, and tries no PIN. */
export const command: Command = {
  name: 'keys verify',
  summary: 'have a slot open keys now: tag, unwrap, a signature that verifies for the public key',
  example: 'hsm-driver keys verify --config node-1.yaml --key key-abcde-fghij-klmnopqrstuvwxyz',
  options: [
    { name: 'key', summary: 'id of the key; several with commas between', required: true, kind: 'text' },
    { name: 'json', summary: 'print JSON', required: false, kind: 'switch' },
  ],
  async run({ config, text, switches }) {
    const wanted = namedKeys.safeParse({ keyIds: (text.get('key') ?? '').split(',').map((id) => id.trim()) });
    if (!wanted.success)
      throw new CodedError('OPTION_INVALID', '--key is one key id, or up to 1000 with commas between');
    await withMaintenanceQueue(config, async (boss, pool) => {
      const id = await boss.send('key-check', wanted.data);
      if (id === null) throw new CodedError('JOB_FAILED', 'another keys verify is at work; try again when it is done');
      const { details } = namedKeysChecked.parse((await jobEnd(boss, pool, 'key-check', id))?.output);
      process.stdout.write(
        switches.has('json')
          ? `${JSON.stringify(details)}\n`
          : table([['key', 'verdict', 'why'], ...details.map((one) => [one.keyId, one.verdict, one.problem ?? ''])]),
      );
      const bad = details.filter(({ verdict }) => verdict !== 'holds');
      if (bad.length > 0)
        throw new CodedError('KEY_UNUSABLE', bad.map(({ keyId, verdict }) => `${keyId} (${verdict})`).join(', '));
    });
  },
};
