import type { Curve } from '../shared/keys.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import type { AttackFacts, WrapFacts } from './calls.ts';

/**
 * What an HSM is worth to this driver:
 *
 *   A      the master key's template is enforced: PIN and blob together do not give a private key
 *   B      it works, but somebody with the PIN and a blob can extract the key in it, or that could not be ruled out: access
 *          to the PIN must be guarded as access to the keys
 *   unfit  the driver cannot work with it, or what it makes cannot be trusted
 */
export type Tier = 'A' | 'B' | 'unfit';
export interface Verdict {
  readonly tier: Tier;
  /** What speaks against a better one; empty for A. */
  readonly reasons: readonly string[];
}

/** The best method under which the token can do P-256, which attestation needs, and OpenSSL confirms its name. */
export function bestMethod(facts: WrapFacts): { method: WrapMethod; curves: Curve[] } | undefined {
  const { rows, confirmed } = facts;
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
  return { method, curves: curvesUnder(facts, method) };
}

/** The curves that a token can do under this very method, OpenSSL's word on its name left aside. */
export function curvesUnder({ rows }: WrapFacts, { algorithm, mechanism }: WrapMethod): Curve[] {
  return rows
    .filter((one) => one.works && one.wrapAlgorithm === algorithm && one.wrapMechanism === mechanism)
    .map(({ curve }) => curve);
}

export function judge(wraps: WrapFacts, attacks: AttackFacts | undefined): Verdict {
  const unfit = [...noMethod(wraps), ...noKeysUnderTemplate(attacks)];
  if (!wraps.hmac)
    unfit.push('no right HMAC-SHA-256 (CKM_SHA256_HMAC) with a key in the HSM, which authenticates rows');
  if (attacks === undefined && unfit.length === 0) unfit.push('no attack was tried');
  if (attacks === undefined || unfit.length > 0) return { tier: 'unfit', reasons: unfit };

  const reasons = attacks.attacks.filter(({ refused }) => !refused).map(({ name }) => `possible: ${name}`);
  if (attacks.attacks.length === 0) reasons.push('no attack was tried');
  if (attacks.notTaken.length > 0) reasons.push(`the token does not take ${attacks.notTaken.join(', ')}`);
  if ('refusal' in wraps.confirmed) {
    const { refusal } = wraps.confirmed;
    reasons.push(
      `no key reaches it by RSA-OAEP (${refusal}): the ceremony cannot fill it, and no mechanism is confirmed`,
    );
  }
  return { tier: reasons.length === 0 ? 'A' : 'B', reasons };
}

function noMethod(wraps: WrapFacts): string[] {
  if (bestMethod(wraps) !== undefined) return [];
  const p256 = wraps.rows.filter(({ curve }) => curve === 'P-256');
  const misnamed = p256.filter(({ works }) => works);
  if (misnamed.length > 0) {
    const list = misnamed.map((one) => `${one.wrapAlgorithm} 0x${one.wrapMechanism.toString(16).toUpperCase()}`);
    return [
      `what passes the round trip with P-256 is not what it is called: OpenSSL does not open it (${list.join(', ')})`,
    ];
  }
  const failures = p256.flatMap(({ failure }) => failure ?? []);
  return [`no wrap method passes the round trip with P-256, which attestation needs (${failures.join('; ')})`];
}

/** A token may work with any wrapping key but one with the master key's template. */
function noKeysUnderTemplate(attacks: AttackFacts | undefined): string[] {
  const p256 = attacks?.underTemplate.find(({ curve }) => curve === 'P-256');
  if (attacks === undefined || p256?.works === true) return [];
  return [`a key with the master key’s template does not do P-256 (${p256?.failure ?? 'not tried'})`];
}
