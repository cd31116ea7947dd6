import { CodedError } from '../../shared/errors.ts';
import { rotationEvent } from '../../shared/rotation/rotation-event.ts';
import { openRotation, type RotationStep, rotationSubject, stepRotation } from '../../shared/rotation/rotation-rows.ts';
import { carryOut } from '../authorisation/carry-out.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { askForRotation } from './rotation-job.ts';

/**
 * A command that takes the open rotation one step further. To stop one (pause, abort) needs nobody’s leave: rows stay as
 * they are, and both keys in use.
 */
export function stepCommand(step: Exclude<RotationStep, 'destroyed'>, summary: string, done: string): Command {
  const ordered = step === 'resume';
  return {
    name: `rotate ${step}`,
    summary,
    example: `hsm-driver rotate ${step} --config node-1.yaml`,
    options: ordered ? [orderOption('rotation')] : [],
    run: ({ config, text }) =>
      withDriverDatabase(config, `rotate ${step}`, async (pool, configuration) => {
        const rotation = await openRotation(pool);
        if (rotation === undefined) throw new CodedError('ROTATION_REFUSED', 'no rotation is running or paused');
        const subject = `${step} ${rotationSubject(rotation)}`;
        const errand = {
          configuration,
          command: `rotate ${step}`,
          ...(ordered ? { about: { kind: 'rotation' as const, subject }, orderFile: text.get('order') } : {}),
          events: [rotationEvent(rotation, words[step])],
        };
        await carryOut(pool, errand, async (client, order) => {
          if (await stepRotation(client, rotation.id, step, order ?? null)) return;
          throw new CodedError('ROTATION_REFUSED', `it is ${rotation.state}`);
        });
        if (step === 'resume') await askForRotation(pool, rotation.kind);
        process.stdout.write(`${rotationSubject(rotation)}: ${done}\n`);
      }),
  };
}

const words = { pause: 'paused', resume: 'resumed', abort: 'aborted' } as const;
