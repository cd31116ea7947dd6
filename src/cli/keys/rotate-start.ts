import { readNodes } from '../../primary/cluster/nodes.ts';
import { startProblems } from '../../primary/rotation/start-problems.ts';
import type { DriverConfiguration } from '../../shared/configuration/driver.ts';
import { CodedError } from '../../shared/errors.ts';
import { integrityKeysOf, masterKeysOf } from '../../shared/key-ring.ts';
import { readKeyRing } from '../../shared/key-ring-files.ts';
import { rotationEvent } from '../../shared/rotation/rotation-event.ts';
import {
  insertRotation,
  openRotation,
  rotationSubject,
  type WantedRotation,
} from '../../shared/rotation/rotation-rows.ts';
import { carryOut } from '../authorisation/carry-out.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { askForRotation } from './rotation-job.ts';
import { rotationText } from './rotation-text.ts';

/** `hsm-driver rotate start`: from an older key of the configuration to the current one. */
export const command: Command = {
  name: 'rotate start',
  summary: 'move all stored keys from an older master or integrity key to the current one',
  example: 'hsm-driver rotate start --config node-1.yaml --from mk-abcdefghijklmnop --yes',
  options: [
    {
      name: 'from',
      summary: 'the old key, mk-… or ik-…; its ceremony file is among furtherCeremonyFiles',
      required: true,
      kind: 'text',
    },
    {
      name: 'yes',
      summary: 'do it; without it the command only says whether it may start',
      required: false,
      kind: 'switch',
    },
    orderOption('rotation'),
  ],
  run: ({ config, text, switches }) =>
    withDriverDatabase(config, 'rotate start', async (pool, configuration) => {
      const wanted = wantedRotation(configuration, text.get('from') ?? '');
      const problems = startProblems(wanted, await readNodes(pool));
      if (problems.length > 0) throw new CodedError('ROTATION_REFUSED', problems.join('; '));
      const open = await openRotation(pool);
      if (open !== undefined)
        throw new CodedError('ROTATION_REFUSED', `another one is ${open.state}: ${rotationText(open)}`);
      if (!switches.has('yes')) {
        process.stdout.write(`${rotationSubject(wanted)} may start; nothing was changed, add --yes to start it\n`);
        return;
      }
      const errand = {
        configuration,
        command: 'rotate start',
        about: { kind: 'rotation', subject: `start ${rotationSubject(wanted)}` },
        orderFile: text.get('order'),
        events: [rotationEvent(wanted, 'started')],
      } as const;
      const started = await carryOut(pool, errand, async (client, order) => {
        const inserted = await insertRotation(client, { ...wanted, signedOrder: order ?? null });
        if (inserted !== undefined) return inserted;
        throw new CodedError('ROTATION_REFUSED', 'another one was started at the same moment');
      });
      await askForRotation(pool, wanted.kind);
      process.stdout.write(`started: ${rotationText(started)}\n`);
    }),
};

/** @throws CONFIG_INVALID when the configuration does not have both keys, the new one as the current one. */
function wantedRotation(configuration: DriverConfiguration, fromId: string): WantedRotation {
  const ring = readKeyRing(configuration);
  const { masterKey, integrityKey } = ring.current;
  const wanted = fromId.startsWith('ik-')
    ? ({ kind: 'integrity-key', fromId, toId: integrityKey.id } as const)
    : ({ kind: 'master-key', fromId, toId: masterKey.id } as const);
  const ids = [
    ...masterKeysOf(ring).map((one) => one.masterKey.id),
    ...integrityKeysOf(ring).map((one) => one.integrityKey.id),
  ];
  if (!ids.includes(fromId))
    throw new CodedError(
      'ROTATION_REFUSED',
      `no ceremony file of this configuration is of ${fromId}; it has ${ids.join(', ')}`,
    );
  if (wanted.toId === fromId)
    throw new CodedError('ROTATION_REFUSED', `${fromId} is the current key: ceremonyFile must be that of the new one`);
  return wanted;
}
