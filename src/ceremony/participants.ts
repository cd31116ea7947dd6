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
    throw ofToken(at(participants, index), outcome.reason);
  });
}

/**
 * One after another, and none after one that failed: for logins. A PIN counts as refused while it is tried, so that two
 * tokens which share a counter, or one token under two names, would refuse each other.
 */
export async function inTurn<One extends { readonly token: CeremonyTokenConfiguration }, Answer>(
  participants: readonly One[],
  step: (participant: One) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const participant of participants) {
    try {
      answers.push(await step(participant));
    } catch (error) {
      throw ofToken(participant, error);
    }
  }
  return answers;
}

function ofToken({ token }: { readonly token: CeremonyTokenConfiguration }, error: unknown): unknown {
  if (!(error instanceof CodedError)) return error;
  return new CodedError(error.code, `token ${token.name}: ${error.detail}`, { cause: error });
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
