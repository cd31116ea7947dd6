import type { LeasedGenerateKey, OutcomeResult } from '../../shared/driver-protocol.ts';
import { type Capability, capability } from '../../shared/keys.ts';
import type { DriverDatabase } from '../database.ts';
import type { StoredKey } from '../key-rows.ts';
import type { FoundKey, KeyStore } from '../key-store.ts';
import type { Admission } from '../policy/admission.ts';
import type { HsmCalls } from './hsm-calls.ts';
import { type Ending, ended, errorOutcome, type Job, refused, type Step, stepWithoutKey } from './job.ts';

export interface GenerateKeyDependencies {
  readonly keyStore: string;
  readonly capabilities: ReadonlySet<Capability>;
  readonly keys: Pick<KeyStore, 'findMade' | 'add' | 'discard'>;
  /** Kinds that new keys sign, in their tagged row for ever; empty = all. */
  readonly newKeysSign: readonly string[];
  readonly admission: Pick<Admission, 'current'>;
  readonly hsm: Pick<HsmCalls, 'generateKeys'>;
  readonly database: Pick<DriverDatabase, 'persistently'>;
}

/** A key that exists only in this process until its row is stored. */
export interface MadeKey {
  readonly request: LeasedGenerateKey;
  readonly stored: StoredKey;
}

/**
 * GenerateKey: the row of an earlier delivery, or a new key from the HSM; then the row, and only then the outcome. The
 * key exists if and only if its row was committed: of two nodes with one request, both answer the row that came first.
 */
export function createGenerateKeyJob(dependencies: GenerateKeyDependencies): Job<LeasedGenerateKey, MadeKey> {
  const { keys, hsm, database, capabilities, admission, newKeysSign: allowedKinds } = dependencies;

  /** The answer of a key that was made before; undefined when it is not this request's. */
  function before(request: LeasedGenerateKey, found: FoundKey): Step<never> {
    if (found.found !== 'key') return stepWithoutKey(found, request.keyId);
    const { key } = found;
    const same =
      key.keyId === request.keyId &&
      key.organisation === request.organisation &&
      key.keyStore === dependencies.keyStore &&
      key.type.curve === request.type.curve &&
      key.type.scheme === request.type.scheme;
    return ended(same ? success(found) : conflict(request));
  }

  async function makeNew(requests: readonly LeasedGenerateKey[]): Promise<readonly Step<MadeKey>[]> {
    if (requests.length === 0) return [];
    const answers = await hsm.generateKeys(
      requests.map(({ id, keyId, organisation, type }) => ({ requestId: id, keyId, organisation, type, allowedKinds })),
    );
    return requests.map((request, at) => {
      const answer = answers[at];
      if (answer === undefined) throw new Error('the HSM layer answers every request');
      if (!answer.ok) return { step: 'failed', failure: answer };
      return { step: 'made', made: { request, stored: answer.value } };
    });
  }

  /** Each request's ending from the row that stands; a key that was made in vain is recorded. */
  async function settle(made: readonly MadeKey[], ours: ReadonlySet<string>): Promise<readonly Ending[]> {
    const others = made.filter(({ request }) => !ours.has(request.id));
    const ids = others.map(({ request }) => request.id);
    const rows = ids.length === 0 ? new Map<string, FoundKey>() : await database.persistently(() => keys.findMade(ids));
    await keys.discard(others.filter((one) => isInVain(one, rows.get(one.request.id))).map(({ stored }) => stored));
    return made.map((one): Ending => {
      if (ours.has(one.request.id)) return success(one.stored);
      const found = rows.get(one.request.id);
      // No row with our request id: what stood in the way is another request's row for this key id.
      if (found === undefined) return conflict(one.request);
      const step = before(one.request, found);
      // The stored row could not be checked now: whoever gets the request next will find it.
      return step.step === 'ended' ? step.ending : 'given back';
    });
  }

  return {
    weight: () => 1,

    async make(requests) {
      const policy = await admission.current();
      const possible = requests.filter((request) => capabilities.has(capability('GenerateKey', request.type.curve)));
      const made = await keys.findMade(possible.map((request) => request.id));
      const denied = new Map<string, Step<never>>();
      for (const request of possible) {
        const refusal = policy.frozen(request) ?? (made.has(request.id) ? undefined : policy.generateKey(request));
        if (refusal !== undefined) denied.set(request.id, refused(refusal));
      }
      const fresh = possible.filter((request) => !made.has(request.id) && !denied.has(request.id));
      const steps = await makeNew(fresh);
      const byId = new Map(fresh.map((request, at) => [request.id, steps[at] as Step<MadeKey>]));
      return requests.map((request): Step<MadeKey> => {
        const refusal = denied.get(request.id);
        if (refusal !== undefined) return refusal;
        const found = made.get(request.id);
        if (found !== undefined) return before(request, found);
        return byId.get(request.id) ?? notSupported(request);
      });
    },

    async keep(made) {
      return await settle(made, await keys.add(made.map(({ stored }) => stored)));
    },
  };
}

/** Another row stands in the way. It may also be our own, from a commit whose answer got lost. */
function isInVain({ stored }: MadeKey, found: FoundKey | undefined): boolean {
  return found === undefined || (found.found === 'key' && found.key.publicKey !== stored.key.publicKey);
}

function success({ key, attestation }: StoredKey): OutcomeResult {
  return { kind: 'PublicKey', publicKey: key.publicKey, attestation };
}

function conflict(request: LeasedGenerateKey): OutcomeResult {
  return errorOutcome('REQUEST_CONFLICT', `${request.id}, key ${request.keyId}`, false);
}

function notSupported(request: LeasedGenerateKey): Step<never> {
  return ended(errorOutcome('CURVE_NOT_SUPPORTED', capability('GenerateKey', request.type.curve), true));
}
