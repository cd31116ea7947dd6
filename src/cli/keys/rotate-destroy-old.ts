import { destroyKey } from '../../ceremony/destroy-key.ts';
import { CodedError } from '../../shared/errors.ts';
import { rotationEvent } from '../../shared/rotation/rotation-event.ts';
import {
  countToMove,
  forgetReplacedBlobs,
  type Rotation,
  readRotations,
  rotationSubject,
  stepRotation,
} from '../../shared/rotation/rotation-rows.ts';
import { carryOut } from '../authorisation/carry-out.ts';
import { orderOption } from '../authorisation/order-option.ts';
import { takeStep, yesOption } from '../ceremony/ceremony-step.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';

/**
 * `hsm-driver rotate destroy-old`: after a finished rotation, the old key is destroyed on every token that has it. The order
 * is used up before the first token is touched; a second run needs another one.
 */
export const command: Command = {
  name: 'rotate destroy-old',
  summary: 'destroy the key that a finished rotation left behind, on every token that holds it',
  example: 'hsm-driver rotate destroy-old --config node-1.yaml --ceremony old-ceremony.yaml',
  options: [
    {
      name: 'ceremony',
      summary: 'ceremony configuration with the old key’s protocol file and every token of it, the backup token too',
      required: true,
      kind: 'text',
    },
    {
      name: 'from',
      summary: 'the old key, mk-… or ik-…; needed where more than one rotation has left its old key behind',
      required: false,
      kind: 'text',
    },
    yesOption,
    orderOption('rotation'),
  ],
  run: (input) =>
    withDriverDatabase(input.config, 'rotate destroy-old', async (pool, configuration) => {
      const rotation = chooseFinished(await readRotations(pool), input.text.get('from'));
      const left = await countToMove(pool, rotation);
      if (left > 0) throw new CodedError('ROTATION_REFUSED', `${left} keys still are under ${rotation.fromId}`);
      const subject = rotationSubject(rotation);
      const errand = { configuration, command: 'rotate destroy-old' };
      await carryOut(
        pool,
        {
          ...errand,
          about: { kind: 'rotation', subject: `destroy ${subject}` },
          orderFile: input.text.get('order'),
          events: [rotationEvent(rotation, 'destruction begun')],
        },
        async () => {},
      );
      const kind = rotation.kind === 'master-key' ? 'master key' : 'integrity key';
      await takeStep({ ...input, config: input.text.get('ceremony') ?? '' }, (ceremony, people) =>
        destroyKey(ceremony, kind, rotation.fromId, people),
      );
      await carryOut(pool, { ...errand, events: [rotationEvent(rotation, 'destroyed')] }, async (client) => {
        await stepRotation(client, rotation.id, 'destroyed');
        await forgetReplacedBlobs(client, rotation.id);
      });
      process.stdout.write(
        `${rotation.fromId} is destroyed. Erase the rotation token, and leave its ceremony file out of every configuration.\n`,
      );
    }),
};

/** @throws ROTATION_REFUSED when there is none, or more than one and nobody said which. */
function chooseFinished(rotations: readonly Rotation[], from: string | undefined): Rotation {
  const finished = rotations.filter((one) => one.state === 'finished' && (from === undefined || one.fromId === from));
  const [first, second] = finished;
  if (first === undefined) {
    const which = from === undefined ? '' : ` of ${from}`;
    throw new CodedError('ROTATION_REFUSED', `no rotation${which} is finished and not destroyed yet`);
  }
  if (second === undefined) return first;
  const list = finished.map(({ fromId }) => fromId).join(', ');
  throw new CodedError('ROTATION_REFUSED', `more than one old key is left (${list}): name one with --from`);
}
