import type { Signature } from '../../shared/driver-protocol.ts';
import type { KeyType } from '../../shared/keys.ts';
import { failureOf, isWornOut, succeeded } from './failure.ts';
import { Pkcs11Fault } from './fault.ts';
import type { HsmResult, SignAnswer } from './jobs.ts';
import { checkDigest, signVerified } from './sign-verified.ts';
import type { Workbench } from './workbench.ts';

/** A SignJob as a session thread gets it: only what signing needs. */
export interface KeyToSignWith {
  readonly keyId: string;
  readonly type: KeyType;
  readonly publicKey: string;
  readonly masterKeyId: string;
  readonly blob: Buffer;
}

/**
 * Signs every digest of every request with one key: one unwrap for all, the handle destroyed before the answer leaves
 * (unless the slot lets keys stay open for a while: kept-keys.ts).
 * A request has all its signatures or an error, and its own answer whatever happens to its neighbours.
 */
export function signWithKey(
  bench: Workbench,
  key: KeyToSignWith,
  requests: readonly (readonly Buffer[])[],
): SignAnswer {
  const { curve } = key.type;
  const answers: (HsmResult<readonly Signature[]> | undefined)[] = requests.map((digests) =>
    refusedDigest(key, digests),
  );
  if (answers.every((answer) => answer !== undefined)) return answers;

  const sign = (unwrapped: Buffer, fresh: boolean): void => {
    requests.forEach((digests, index) => {
      if (answers[index] !== undefined) return; // refused above, or done before the session had to be replaced
      try {
        answers[index] = succeeded(
          digests.map((digest) => signVerified(bench.session, curve, unwrapped, key.publicKey, digest)),
        );
      } catch (error) {
        if (isWornOut(error) || (!fresh && error instanceof Pkcs11Fault)) throw error;
        answers[index] = failureOf(error);
      }
    });
  };
  const whole = bench.attempt(() => bench.withOpen({ ...key, curve, named: `key ${key.keyId}` }, sign));
  const all = answers.map(
    (answer) => answer ?? (whole.ok ? failureOf(new Error('the request was passed over')) : whole),
  );
  if (all.some((answer) => !answer.ok && answer.device !== 'healthy')) bench.closeKeys();
  return all;
}

function refusedDigest(key: KeyToSignWith, digests: readonly Buffer[]): HsmResult<readonly Signature[]> | undefined {
  try {
    for (const digest of digests) checkDigest(key.type.curve, digest);
    return undefined;
  } catch (error) {
    return failureOf(error);
  }
}
