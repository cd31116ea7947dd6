import { CodedError } from '../shared/errors.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';

/** What a token can do, by name. */
export interface ProvenMethods {
  readonly name: string;
  /** Best first. */
  readonly wrapMethods: readonly WrapMethod[];
}

/**
 * How each token will wrap: one algorithm for all, the best for the first that every token can do; and one number where
 * they share one, because then every token's file reads the same.
 * @throws CEREMONY_REFUSED
 */
export function chosenMethods(tokens: readonly ProvenMethods[]): readonly WrapMethod[] {
  const wrapMethods = tokens[0]?.wrapMethods ?? [];
  const algorithm = wrapMethods.find((method) =>
    tokens.every((one) => one.wrapMethods.some((other) => other.algorithm === method.algorithm)),
  )?.algorithm;
  if (algorithm === undefined) {
    const list = tokens.map((one) => `${one.name}: ${one.wrapMethods.map(methodText).join(', ') || 'none'}`);
    throw new CodedError('CEREMONY_REFUSED', `the tokens share no wrap algorithm (${list.join('; ')})`);
  }
  const shared = wrapMethods.find(
    (method) =>
      method.algorithm === algorithm && tokens.every((one) => one.wrapMethods.some((other) => same(method, other))),
  );
  return tokens.map((one) => shared ?? methodFor(one, { algorithm, mechanism: 0 }));
}

/**
 * How a further token will wrap under the algorithm that is pinned: by the pinned number where it can.
 * @throws CEREMONY_REFUSED
 */
export function methodFor({ name, wrapMethods }: ProvenMethods, pinned: WrapMethod): WrapMethod {
  const method =
    wrapMethods.find((one) => same(one, pinned)) ?? wrapMethods.find((one) => one.algorithm === pinned.algorithm);
  if (method !== undefined) return method;
  const list = wrapMethods.map(methodText).join(', ') || 'none';
  throw new CodedError('CEREMONY_REFUSED', `token ${name} cannot wrap with ${pinned.algorithm} (it can: ${list})`);
}

export function methodText({ algorithm, mechanism }: WrapMethod): string {
  return `${algorithm} (mechanism 0x${mechanism.toString(16).toUpperCase()})`;
}

function same(left: WrapMethod, right: WrapMethod): boolean {
  return left.algorithm === right.algorithm && left.mechanism === right.mechanism;
}
