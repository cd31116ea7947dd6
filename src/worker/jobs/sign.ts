import type { LeasedSign, OutcomeResult, Signature } from '../../shared/driver-protocol.ts';
import { type Capability, capability } from '../../shared/keys.ts';
import type { DriverDatabase } from '../database.ts';
import type { SignJob } from '../hsm/jobs.ts';
import { signatureHolds } from '../hsm/verify.ts';
import { type Journal, type JournalEntry, payloadDigest } from '../journal.ts';
import type { KeyStore } from '../key-store.ts';
import type { Admission } from '../policy/admission.ts';
import type { WrappedKey } from '../wrapped-key.ts';
import type { HsmCalls } from './hsm-calls.ts';
import { ended, errorOutcome, type Job, refused, refusedOutcome, type Step, stepWithoutKey } from './job.ts';

export interface SignDependencies {
  readonly keyStore: string;
  readonly capabilities: ReadonlySet<Capability>;
  readonly keys: Pick<KeyStore, 'find' | 'reread'>;
  readonly journal: Journal;
  readonly admission: Pick<Admission, 'current'>;
  readonly hsm: Pick<HsmCalls, 'sign'>;
  readonly database: Pick<DriverDatabase, 'persistently'>;
}

/** Signatures that exist only in this process until the journal holds them. */
export interface MadeSignatures {
  readonly request: LeasedSign;
  readonly key: WrappedKey;
  readonly digests: readonly Buffer[];
  readonly entry: JournalEntry;
}

interface Ready {
  readonly request: LeasedSign;
  readonly key: WrappedKey;
  readonly digests: readonly Buffer[];
}

/**
 * Sign: journal (where it may already hold the id), keys, HSM; then the journal row, and only then the outcome.
 * Signatures come verified from the session threads; what is read from the journal is verified here.
 */
export function createSignJob(dependencies: SignDependencies): Job<LeasedSign, MadeSignatures> {
  const { keys, journal, admission, hsm, database } = dependencies;
  return {
    weight: (request) => request.digests.length,

    async make(requests) {
      const steps = new Map<string, Step<MadeSignatures>>();
      const ready: Ready[] = [];
      const policy = await admission.current();
      const stored = await journal.find(requests.filter((request) => request.lookUp).map((request) => request.id));
      const found = await keys.find(requests.map((request) => request.keyId));
      for (const request of requests) {
        const impossible = refusal(dependencies, request);
        const key = found.get(request.keyId);
        if (impossible !== undefined) steps.set(request.id, impossible);
        else if (key === undefined) steps.set(request.id, notInStore(request));
        else if (key.found !== 'key') steps.set(request.id, stepWithoutKey(key, request.keyId));
        else {
          const unusable = keyRefusal(dependencies, request, key.key);
          const digests = request.digests.map((digest) => Buffer.from(digest, 'hex'));
          const before = stored.get(request.id);
          const frozen = policy.frozen(request);
          if (unusable !== undefined) steps.set(request.id, unusable);
          else if (frozen !== undefined) steps.set(request.id, refused(frozen));
          else if (before !== undefined) steps.set(request.id, ended(storedOutcome(before, key.key, digests)));
          else {
            const unauthorised = await policy.sign(request, key.key);
            if (unauthorised !== undefined) steps.set(request.id, refused(unauthorised));
            else ready.push({ request, key: key.key, digests });
          }
        }
      }
      for (const [id, step] of await signAll(hsm, ready)) steps.set(id, step);
      // The row in memory may be from before a rotation, wrapped by a key that is gone: read it once more.
      const again = await changedRows(keys, ready, steps);
      for (const [id, step] of await signAll(hsm, again)) steps.set(id, step);
      recordInvalid(journal, ready, steps);
      return requests.map((request) => steps.get(request.id) ?? missing(request.id));
    },

    /** The journal repeats what a lost database left unknown: whether a commit took place is then seen by its row. */
    async keep(made) {
      const ours = await journal.add(made.map(({ entry }) => entry));
      const others = made.filter(({ entry }) => !ours.has(entry.requestId)).map(({ entry }) => entry.requestId);
      const stored = await database.persistently(() => journal.find(others));
      const outcomes = await settle(journal, made, ours, stored);
      // The HSM or the database may have taken long, and somebody may have frozen the key meanwhile.
      const policy = await database.persistently(() => admission.current());
      return made.map(({ request }, at) => {
        const frozen = policy.frozen(request);
        return frozen === undefined ? (outcomes[at] as OutcomeResult) : refusedOutcome(frozen);
      });
    },
  };
}

/** Jobs in groups by key: one unwrap for all its requests. */
async function signAll(
  hsm: Pick<HsmCalls, 'sign'>,
  ready: readonly Ready[],
): Promise<[string, Step<MadeSignatures>][]> {
  if (ready.length === 0) return [];
  const groups = Object.values(Object.groupBy(ready, ({ key }) => key.keyId)) as Ready[][];
  const jobs = groups.map(
    (group): SignJob => ({
      key: (group[0] as Ready).key,
      requests: group.map(({ request, digests }) => ({ requestId: request.id, digests })),
    }),
  );
  const answers = await hsm.sign(jobs);
  return groups.flatMap((group, at) =>
    group.map((one, index): [string, Step<MadeSignatures>] => {
      const answer = answers[at]?.[index];
      if (answer === undefined) throw new Error('the HSM layer answers every request');
      if (!answer.ok) return [one.request.id, { step: 'failed', failure: answer }];
      return [one.request.id, { step: 'made', made: madeOf(one, answer.value) }];
    }),
  );
}

/** Of what did not open: the requests whose row is another one now than the one in memory. */
async function changedRows(
  keys: SignDependencies['keys'],
  ready: readonly Ready[],
  steps: ReadonlyMap<string, Step<MadeSignatures>>,
): Promise<readonly Ready[]> {
  const failed = ready.filter(({ request }) => {
    const step = steps.get(request.id);
    return step?.step === 'failed' && (step.failure.code === 'KEY_UNUSABLE' || step.failure.code === 'KEY_NOT_ON_SLOT');
  });
  if (failed.length === 0) return [];
  const found = await keys.reread(failed.map(({ key }) => key.keyId));
  return failed.flatMap((one) => {
    const row = found.get(one.key.keyId);
    return row?.found === 'key' && isRewrapped(one.key, row.key) ? [{ ...one, key: row.key }] : [];
  });
}

function isRewrapped(before: WrappedKey, now: WrappedKey): boolean {
  return now.masterKeyId !== before.masterKeyId || !now.blob.equals(before.blob);
}

function madeOf({ request, key, digests }: Ready, signatures: readonly Signature[]): MadeSignatures {
  const entry = {
    requestId: request.id,
    keyId: key.keyId,
    masterKeyId: key.masterKeyId,
    payloadDigest: payloadDigest(key.keyId, digests),
    signatures,
  };
  return { request, key, digests, entry };
}

/** Each request's outcome from the row that stands; what was made in vain is recorded. */
async function settle(
  journal: Journal,
  made: readonly MadeSignatures[],
  ours: ReadonlySet<string>,
  stored: ReadonlyMap<string, JournalEntry>,
): Promise<readonly OutcomeResult[]> {
  const others = made.filter(({ entry }) => !ours.has(entry.requestId));
  const before = (one: MadeSignatures): JournalEntry => stored.get(one.entry.requestId) ?? missing(one.entry.requestId);
  const sameRequest = (one: MadeSignatures): boolean => before(one).payloadDigest.equals(one.entry.payloadDigest);
  const different = others.filter((one) => !sameSignatures(before(one).signatures, one.entry.signatures));
  const entries = (list: readonly MadeSignatures[]): JournalEntry[] => list.map(({ entry }) => entry);
  await journal.discard(entries(different.filter(sameRequest)), 'journal had another signature');
  await journal.discard(entries(others.filter((one) => !sameRequest(one))), 'journal had another payload');
  return made.map((one) =>
    ours.has(one.entry.requestId)
      ? success(one.key, one.entry.signatures)
      : storedOutcome(before(one), one.key, one.digests),
  );
}

/** The stored row wins, and is trusted no more than any other row: it must fit the request and verify. */
function storedOutcome(stored: JournalEntry, key: WrappedKey, digests: readonly Buffer[]): OutcomeResult {
  if (!stored.payloadDigest.equals(payloadDigest(key.keyId, digests))) {
    return errorOutcome('REQUEST_CONFLICT', stored.requestId, false);
  }
  const holds =
    stored.signatures.length === digests.length &&
    stored.signatures.every((one, at) => signatureHolds(key.type, key.publicKey, digests[at] as Buffer, one));
  if (!holds) return errorOutcome('SIGNATURE_INVALID', `the journal’s row of ${stored.requestId} was changed`, false);
  return success(key, stored.signatures);
}

function success(key: WrappedKey, signatures: readonly Signature[]): OutcomeResult {
  return { kind: 'Signatures', publicKey: key.publicKey, signatures: [...signatures] };
}

function sameSignatures(a: readonly Signature[], b: readonly Signature[]): boolean {
  return a.length === b.length && a.every((one, at) => one.rs === b[at]?.rs && one.recid === b[at]?.recid);
}

/** Signatures that the session thread found wrong were thrown away there; that they were made is recorded here. */
function recordInvalid(
  journal: Journal,
  ready: readonly Ready[],
  steps: ReadonlyMap<string, Step<MadeSignatures>>,
): void {
  const wrong = ready.filter(({ request }) => {
    const step = steps.get(request.id);
    return step?.step === 'failed' && step.failure.code === 'SIGNATURE_INVALID';
  });
  const entries = wrong.map(({ request, key, digests }) => ({
    requestId: request.id,
    keyId: key.keyId,
    payloadDigest: payloadDigest(key.keyId, digests),
  }));
  // A record for people, not a part of the answer: the request does not wait for it.
  void journal.discard(entries, 'did not verify').catch(() => {});
}

/** What can be said without the key. */
function refusal({ capabilities }: SignDependencies, request: LeasedSign): Step<never> | undefined {
  const needed = capability('Sign', request.type.curve);
  if (!capabilities.has(needed)) return ended(errorOutcome('CURVE_NOT_SUPPORTED', needed, true));
  if (request.type.scheme === 'ECDSA' && request.digests.some((digest) => digest.length !== 64)) {
    return ended(errorOutcome('DIGEST_INVALID', `request ${request.id}`, false));
  }
  return undefined;
}

/** The row must be the key that the API means. A key of another organisation is told from none by nobody. */
function keyRefusal({ keyStore }: SignDependencies, request: LeasedSign, key: WrappedKey): Step<never> | undefined {
  const same =
    key.organisation === request.organisation &&
    key.keyStore === keyStore &&
    key.type.curve === request.type.curve &&
    key.type.scheme === request.type.scheme;
  if (!same) return notInStore(request);
  if (key.status !== 'active') return ended(errorOutcome('KEY_UNUSABLE', `key ${key.keyId} is ${key.status}`, false));
  return undefined;
}

function notInStore(request: LeasedSign): Step<never> {
  return ended(errorOutcome('KEY_NOT_IN_STORE', `key ${request.keyId}`, false));
}

function missing(id: string): never {
  throw new Error(`no answer for request ${id}: rows are never deleted while a request can live`);
}
