import type { KeyObject } from 'node:crypto';
import { type AttestedKey, attestationHolds } from '../shared/crypto/attestation.ts';

/** So many checks are remembered, about 600 bytes each. */
const rememberedLimit = 20_000;

/**
 * Checks attestations against the pinned keys, and remembers those that held: a check takes 0.1 ms, a fifth of what a
 * whole signature may. What is remembered is everything that was checked, so a row that was changed is checked anew.
 */
export interface AttestationChecks {
  hold(key: AttestedKey, attestation: string): boolean;
}

export function createAttestationChecks(
  pinned: ReadonlyMap<string, KeyObject>,
  limit = rememberedLimit,
): AttestationChecks {
  const held = new Set<string>();

  return {
    hold(key, attestation) {
      const attestationKey = pinned.get(key.keyStore);
      if (attestationKey === undefined) return false;
      const { keyStore, organisation, keyId, requestId, type, publicKey } = key;
      // JSON, because texts that are only joined can say the same with other borders between them.
      const what = JSON.stringify([
        keyStore,
        organisation,
        keyId,
        requestId,
        type.scheme,
        type.curve,
        publicKey,
        attestation,
      ]);
      if (held.has(what)) return true;
      if (!attestationHolds(attestationKey, key, attestation)) return false;
      held.add(what);
      // The one that was added first goes: a key in constant use is checked again once in `limit` other keys.
      if (held.size > limit) held.delete(held.values().next().value ?? '');
      return true;
    },
  };
}
