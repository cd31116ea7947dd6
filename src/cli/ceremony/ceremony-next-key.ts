import { makeNextKey } from '../../ceremony/next-key.ts';
import type { KeyKind } from '../../worker/hsm/delivery/keys.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { takeStep, yesOption } from './ceremony-step.ts';

/** `hsm-driver ceremony next-master-key` and `next-integrity-key`: what a rotation will move to. */
export function nextKeyCommand(kind: KeyKind): Command {
  const name = `ceremony next-${kind.replace(' ', '-')}`;
  return {
    name,
    summary: `make the next ${kind} beside the one in use, for a rotation; its protocol file is checked and goes live like the first`,
    example: `hsm-driver ${name} --config ceremony.yaml --out next-protocol.json`,
    options: [
      { name: 'out', summary: 'the protocol file of the new key; must not exist', required: true, kind: 'text' },
      yesOption,
      orderOption('ceremony'),
    ],
    run: (input) =>
      takeStep(
        input,
        (configuration, people) => makeNextKey(configuration, kind, input.text.get('out') ?? '', people),
        { subject: name.replace('ceremony ', ''), approvesProtocol: true },
      ),
  };
}
