import type { CeremonyConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import type { TokenInfo } from '../worker/hsm/module.ts';
import type { Child } from './child.ts';
import type { Delivery, TokenCalls, Transport } from './token-calls.ts';

/** One token of a ceremony and the process that owns it. */
export interface Participant {
  readonly token: CeremonyConfiguration['tokens'][number];
  readonly child: Child<TokenCalls>;
  /** From the moment it is asked to receive them. */
  mayHoldKeys: boolean;
}

/** All tokens at once. The first failure is thrown only when every token has answered: nothing is left in the middle. */
export async function each<Answer>(
  participants: readonly Participant[],
  step: (participant: Participant, index: number) => Promise<Answer>,
): Promise<Answer[]> {
  const outcomes = await Promise.allSettled(participants.map(step));
  return outcomes.map((outcome, index) => {
    if (outcome.status === 'fulfilled') return outcome.value;
    const { reason } = outcome;
    if (reason instanceof CodedError && participants.length > 1) {
      throw new CodedError(reason.code, `token ${at(participants, index).token.name}: ${reason.detail}`, {
        cause: reason,
      });
    }
    throw reason;
  });
}

/** One token under two names would look like two copies of the key. */
export function refuseSameToken(participants: readonly Participant[], infos: readonly TokenInfo[]): void {
  const seen = new Map<string, string>();
  for (const [index, { manufacturer, model, serial }] of infos.entries()) {
    const { name } = at(participants, index).token;
    const identity = JSON.stringify([manufacturer, model, serial]);
    const before = seen.get(identity);
    if (before !== undefined)
      throw new CodedError('CEREMONY_REFUSED', `${before} and ${name} are the same token (serial ${serial})`);
    seen.set(identity, name);
  }
}

/** A swapped transport key would hand the master key over: what each token says of its key must be what the origin used. */
export function compareTransportKeys(
  participants: readonly Participant[],
  transports: readonly Transport[],
  deliveries: readonly Delivery[],
): void {
  for (const [index, { sha256 }] of transports.entries()) {
    if (at(deliveries, index).sha256 === sha256) continue;
    throw new CodedError(
      'CEREMONY_REFUSED',
      `the origin used another transport key for ${at(participants, index).token.name} than that token made`,
    );
  }
}

/**
 * How each token will wrap: one algorithm for all, the best for the origin that every token can do; and one number where
 * they share one, because then every token's file reads the same.
 */
export function chosenMethods(
  participants: readonly Participant[],
  transports: readonly Pick<Transport, 'wrapMethods'>[],
): readonly WrapMethod[] {
  const { wrapMethods } = at(transports, 0);
  const can = (method: WrapMethod) =>
    transports.every((one) => one.wrapMethods.some((other) => sameMethod(method, other)));
  const algorithm = wrapMethods.find((method) =>
    transports.every((one) => one.wrapMethods.some((other) => other.algorithm === method.algorithm)),
  )?.algorithm;
  if (algorithm === undefined) {
    const list = transports.map(
      (one, index) => `${at(participants, index).token.name}: ${one.wrapMethods.map(methodText).join(', ') || 'none'}`,
    );
    throw new CodedError('CEREMONY_REFUSED', `the tokens share no wrap algorithm (${list.join('; ')})`);
  }
  const shared = wrapMethods.find((method) => method.algorithm === algorithm && can(method));
  return transports.map((one) => {
    const own = shared ?? one.wrapMethods.find((method) => method.algorithm === algorithm);
    if (own === undefined) throw new RangeError('a common algorithm that is not common');
    return own;
  });
}

export function methodText({ algorithm, mechanism }: WrapMethod): string {
  return `${algorithm} (mechanism 0x${mechanism.toString(16).toUpperCase()})`;
}

function sameMethod(left: WrapMethod, right: WrapMethod): boolean {
  return left.algorithm === right.algorithm && left.mechanism === right.mechanism;
}

export function at<Value>(list: readonly Value[], index: number): Value {
  const value = list[index];
  if (value === undefined) throw new RangeError(`there is no participant ${index}`);
  return value;
}
