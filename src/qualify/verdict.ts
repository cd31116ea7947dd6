import type { Curve } from '../shared/keys.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import type { AttackFacts, WrapFacts } from './calls.ts';

/**
 * What an HSM is worth to this driver:
 *
 *   A      the master key's template is enforced: PIN and blob together do not give a private key
 *   B      it works, but somebody with the PIN and a blob can extract the key in it: access to the PIN must be guarded as
 *          access to the keys
 *   unfit  the driver cannot work with it, or what it makes cannot be trusted
 */
export type Tier = 'A' | 'B' | 'unfit';
export interface Verdict {
  readonly tier: Tier;
  /** What speaks against a better one; empty for A. */
  readonly reasons: readonly string[];
}

/** The best method under which the token can do P-256, which attestation needs, and OpenSSL confirms its name. */
export function bestMethod({ rows, confirmed }: WrapFacts): { method: WrapMethod; curves: Curve[] } | undefined {
  const row = rows.find(
    (one) =>
      one.works &&
      one.curve === 'P-256' &&
      ('refusal' in confirmed ||
        confirmed.some(
          ({ algorithm, mechanism }) => algorithm === one.wrapAlgorithm && mechanism === one.wrapMechanism,
        )),
  );
  if (row === undefined) return undefined;
  const method = { algorithm: row.wrapAlgorithm, mechanism: row.wrapMechanism };
  const same = rows.filter(
    (one) => one.works && one.wrapAlgorithm === method.algorithm && one.wrapMechanism === method.mechanism,
  );
  return { method, curves: same.map(({ curve }) => curve) };
}

export function judge(wraps: WrapFacts, attacks: AttackFacts | undefined): Verdict {
  const unfit: string[] = [];
  if (bestMethod(wraps) === undefined) {
    const failures = wraps.rows.flatMap(({ curve, failure }) => (curve === 'P-256' ? (failure ?? []) : []));
    unfit.push(`no wrap method passes the round trip with P-256, which attestation needs (${failures.join('; ')})`);
  }
  if (!wraps.hmac) unfit.push('no HMAC-SHA-256 (CKM_SHA256_HMAC) with a key in the HSM, which authenticates rows');
  if (unfit.length > 0 || attacks === undefined) return { tier: 'unfit', reasons: unfit };

  const reasons = attacks.attacks.filter(({ refused }) => !refused).map(({ name }) => `possible: ${name}`);
  if (attacks.notTaken.length > 0) reasons.push(`the token does not take ${attacks.notTaken.join(', ')}`);
  if ('refusal' in wraps.confirmed) {
    const { refusal } = wraps.confirmed;
    reasons.push(
      `no key reaches it by RSA-OAEP (${refusal}): the ceremony cannot fill it, and no mechanism is confirmed`,
    );
  }
  return { tier: reasons.length === 0 ? 'A' : 'B', reasons };
}
