import type { Curve } from '../shared/keys.ts';
import type { Attack } from '../worker/hsm/attacks/attacks.ts';

/** One list of attacks out of one for each curve: refused is what was refused with the blobs of every curve. */
export function worstOf(
  tries: readonly { readonly curve: Curve; readonly attacks: readonly Attack[] }[],
): readonly Attack[] {
  const names = [...new Set(tries.flatMap(({ attacks }) => attacks.map(({ name }) => name)))];
  return names.flatMap((name): Attack[] => {
    const answers = tries.flatMap(({ curve, attacks }) =>
      attacks.filter((one) => one.name === name).map((one) => ({ ...one, curve })),
    );
    const possible = answers.filter(({ refused }) => !refused).map(({ curve }) => curve);
    if (possible.length > 0) return [{ name, refused: false, answer: `possible with ${possible.join(', ')}` }];
    return [{ name, refused: true, answer: [...new Set(answers.map(({ answer }) => answer))].join(', ') }];
  });
}
