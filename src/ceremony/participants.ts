import type { CeremonyTokenConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import type { CeremonyKey } from '../worker/hsm/delivery/keys.ts';
import type { TokenInfo } from '../worker/hsm/module.ts';
import type { Child } from './child.ts';
import type { TokenCalls } from './token-calls.ts';

/** One token of a ceremony and the process that owns it. */
export interface Participant {
  readonly token: CeremonyTokenConfiguration;
  readonly child: Child<TokenCalls>;
  readonly info: TokenInfo;
  /** What this sitting may have put on it: from the moment it is asked to receive. */
  mayHold: readonly CeremonyKey[];
}

/** All tokens at once. The first failure is thrown only when every token has answered: nothing is left in the middle. */
export async function each<One extends { readonly token: CeremonyTokenConfiguration }, Answer>(
  participants: readonly One[],
  step: (participant: One, index: number) => Promise<Answer>,
): Promise<Answer[]> {
  const outcomes = await Promise.allSettled(participants.map(step));
  return outcomes.map((outcome, index) => {
    if (outcome.status === 'fulfilled') return outcome.value;
    const { reason } = outcome;
    if (!(reason instanceof CodedError)) throw reason;
    const { name } = at(participants, index).token;
    throw new CodedError(reason.code, `token ${name}: ${reason.detail}`, { cause: reason });
  });
}

/** One token under two names would look like two copies of the key. */
export function refuseSameToken(
  participants: readonly { readonly token: { readonly name: string }; readonly info: TokenInfo }[],
): void {
  const seen = new Map<string, string>();
  for (const { token, info } of participants) {
    const identity = JSON.stringify([info.manufacturer, info.model, info.serial]);
    const before = seen.get(identity);
    if (before !== undefined) {
      throw new CodedError(
        'CEREMONY_REFUSED',
        `${before} and ${token.name} are the same token (serial ${info.serial})`,
      );
    }
    seen.set(identity, token.name);
  }
}

export function at<Value>(list: readonly Value[], index: number): Value {
  const value = list[index];
  if (value === undefined) throw new RangeError(`there is no participant ${index}`);
  return value;
}
