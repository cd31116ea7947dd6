import type { NamedHead } from '../../shared/audit/head.ts';
import { CodedError } from '../../shared/errors.ts';
import { integrityKeysOf, type KeyRing, masterKeysOf } from '../../shared/key-ring.ts';
import { type Capability, capability, type RequestKind } from '../../shared/keys.ts';
import type { Order } from '../../shared/orders/order.ts';
import { tagMessage, type WrappedKey } from '../wrapped-key.ts';
import { type CallCells, cpuMs, oldestCallMs } from './call-clock.ts';
import { Dispatcher } from './dispatcher.ts';
import { failureOf } from './failure.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { KeyToInspect } from './inspect-key.ts';
import type { GeneratedKey, GenerateKeyJob, HsmResult, KeyProof, SignAnswer, SignJob } from './jobs.ts';
import type { KeyToMark } from './mark-key.ts';
import type { TokenInfo } from './module.ts';
import type { ProbedCurve, Proof } from './probe.ts';
import { endByForce, type ThreadHandle } from './thread-handle.ts';
import { toWire, type WireSignJob, type WireTag, withBuffers } from './thread-protocol.ts';

/**
 * The HSM of one slot, as a worker's main thread sees it: session threads that make synchronous calls, and nothing that
 * blocks here. It never decides what a failure means for the slot: each answer says what it says about the device.
 */
export interface Hsm {
  /** What the probe proved and a canary of the ceremony confirmed. */
  readonly capabilities: readonly Capability[];
  readonly probeTable: readonly ProbedCurve[];
  /** Which keys of the ring this slot holds; only their rows can be used here. */
  readonly keys: readonly KeyProof[];
  readonly fingerprint: Fingerprint | undefined;
  readonly token: Omit<TokenInfo, 'flags'>;
  /** Sessions that were opened: as configured, or fewer where the token has no room for more. */
  readonly sessions: number;
  generateKeys(jobs: readonly GenerateKeyJob[]): Promise<readonly HsmResult<GeneratedKey>[]>;
  /** Spread over the threads; one unwrap per job. */
  sign(jobs: readonly SignJob[]): Promise<readonly SignAnswer[]>;
  /** Whether each row is of this key store, and its tag that of the integrity key it names. */
  checkTags(keys: readonly WrappedKey[]): Promise<readonly HsmResult<boolean>[]>;
  /** On a rotation slot: each row as it is under the current master key, proven usable; nothing is stored. */
  rewrap(rows: readonly WrappedKey[]): Promise<readonly HsmResult<WrappedKey>[]>;
  /** Each row as it is under the current integrity key; nothing is stored. */
  retag(rows: readonly WrappedKey[]): Promise<readonly HsmResult<WrappedKey>[]>;
  /** Signs a head of the audit chain with the attestation key; base64url of r‖s. */
  signHead(head: Omit<NamedHead, 'keyStore'>): Promise<HsmResult<string>>;
  /** Says with the attestation key that an order was obeyed in its time; base64url of r‖s. */
  attestOrder(order: Order): Promise<HsmResult<string>>;
  /** Opens each key and signs with it, see inspect-key.ts; answers the attributes that are not as they must be. */
  inspect(keys: readonly KeyToInspect[]): Promise<readonly HsmResult<readonly string[]>[]>;
  /** Each row with another status; nothing is stored. */
  mark(keys: readonly KeyToMark[]): Promise<readonly HsmResult<WrappedKey>[]>;
  /** A real wrap, unwrap, sign and verify, and a canary: decides whether a suspect device is good or lost. */
  probe(): Promise<HsmResult<undefined>>;
  /** How long the native call that has lasted longest has lasted; 0 when none is in flight. */
  oldestCallMs(): number;
  /** CPU time inside native calls so far; 0 where it is not measured. */
  pkcs11CpuMs(): number;
  /** Session threads that have something to do. */
  busyThreads(): number;
  /** Waits for what is at work, closes the sessions, ends the threads; by force after two seconds. */
  stop(): Promise<void>;
}

const stopTimeoutMs = 2_000;

export function createHsm(
  { flags: _, ...token }: TokenInfo,
  proof: Proof,
  threads: readonly ThreadHandle[],
  calls: CallCells,
  ring: KeyRing,
): Hsm {
  const dispatcher = new Dispatcher(threads);
  let stopped: Promise<void> | undefined;

  /** Items that pass `refuse` go to the threads; the answers come back in the order of `items`. */
  async function run<Item, Answer>(
    items: readonly Item[],
    refuse: (item: Item) => Answer | undefined,
    work: (accepted: readonly Item[]) => Promise<readonly Answer[]>,
  ): Promise<readonly Answer[]> {
    const refused = items.map((item) => refuse(item));
    const worked = await work(items.filter((_item, index) => refused[index] === undefined));
    let next = 0;
    return refused.map((answer) => {
      if (answer !== undefined) return answer;
      next += 1;
      return worked[next - 1] as Answer;
    });
  }

  function refusedCurve(kind: RequestKind, { curve }: GenerateKeyJob['type']): HsmResult<never> | undefined {
    if (proof.capabilities.includes(capability(kind, curve))) return undefined;
    return failureOf(new CodedError('CURVE_NOT_SUPPORTED', `${curve} on token “${token.label}”`));
  }

  /** Another slot, or one whose configuration names the key, may hold it: nothing is wrong with the row. */
  function lacks(id: string): HsmResult<never> | undefined {
    if (proof.keys.some((one) => one.id === id && one.proven)) return undefined;
    return failureOf(new CodedError('KEY_NOT_ON_SLOT', `${id} on token “${token.label}” (${token.serial})`));
  }

  /** A tag under a key that no ceremony file names cannot be checked, and is not believed. */
  function mayBeOurs({ keyStore, integrityKeyId }: WrappedKey): boolean {
    return keyStore === ring.keyStore && integrityKeysOf(ring).some((one) => one.integrityKey.id === integrityKeyId);
  }

  /** A row that no master key on this slot can open, whatever its blob. */
  function refusedRow({ keyId, masterKeyId, wrapAlgorithm }: WrappedKey): HsmResult<never> | undefined {
    const file = masterKeysOf(ring).find(({ masterKey }) => masterKey.id === masterKeyId);
    if (file === undefined || file.masterKey.wrapAlgorithm === wrapAlgorithm) return lacks(masterKeyId);
    const wrapped = `wrapped with ${wrapAlgorithm}, but ${masterKeyId} wraps with ${file.masterKey.wrapAlgorithm}`;
    return failureOf(new CodedError('KEY_UNUSABLE', `key ${keyId} is ${wrapped}`));
  }

  async function askLeastBusy<Value>(
    ask: (thread: ThreadHandle) => Promise<HsmResult<Value>>,
  ): Promise<HsmResult<Value>> {
    const thread = threads.filter((one) => one.alive).sort((left, right) => left.inFlight - right.inFlight)[0];
    if (thread === undefined)
      return { ...failureOf(new CodedError('HSM_DEVICE_FAULT', 'every session thread has ended')), device: 'lost' };
    try {
      return await ask(thread);
    } catch (error) {
      return { ...failureOf(error), device: 'lost' };
    }
  }

  return {
    token,
    sessions: threads.length,
    capabilities: proof.capabilities,
    probeTable: proof.probeTable,
    keys: proof.keys,
    fingerprint: proof.fingerprint,
    oldestCallMs: () => oldestCallMs(calls),
    pkcs11CpuMs: () => cpuMs(calls),
    busyThreads: () => threads.filter((thread) => thread.alive && thread.inFlight > 0).length,

    generateKeys: (jobs) =>
      run<GenerateKeyJob, HsmResult<GeneratedKey>>(
        jobs,
        (job) => refusedCurve('GenerateKey', job.type),
        async (accepted) => (await dispatcher.run('generate', accepted, (failure) => failure)).map(madeWithBuffers),
      ),

    sign: (jobs) =>
      run<SignJob, SignAnswer>(
        jobs,
        ({ key, requests }) => {
          const refusal = refusedCurve('Sign', key.type) ?? refusedRow(key);
          return refusal === undefined ? undefined : requests.map(() => refusal);
        },
        (accepted) =>
          dispatcher.run('sign', accepted.map(wireSignJob), (failure, index) =>
            (accepted[index]?.requests ?? []).map(() => failure),
          ),
      ),

    checkTags: (keys) =>
      run<WrappedKey, HsmResult<boolean>>(
        keys,
        (key) => (mayBeOurs(key) ? lacks(key.integrityKeyId) : { ok: true, value: false }),
        (accepted) => dispatcher.run('check-tags', accepted.map(wireTag), (failure) => failure),
      ),

    rewrap: (rows) =>
      run<WrappedKey, HsmResult<WrappedKey>>(
        rows,
        (row) => (row.keyStore === ring.keyStore ? lacks(row.masterKeyId) : foreign(row)),
        async (accepted) => (await dispatcher.run('rewrap', accepted, (failure) => failure)).map(rowWithBuffers),
      ),

    retag: (rows) =>
      run<WrappedKey, HsmResult<WrappedKey>>(
        rows,
        (row) => (row.keyStore === ring.keyStore ? lacks(row.integrityKeyId) : foreign(row)),
        async (accepted) => (await dispatcher.run('retag', accepted, (failure) => failure)).map(rowWithBuffers),
      ),

    inspect: (keys) =>
      run<KeyToInspect, HsmResult<readonly string[]>>(
        keys,
        ({ row }) => refusedCurve('Sign', row.type) ?? refusedRow(row),
        (accepted) => dispatcher.run('inspect', accepted, (failure) => failure),
      ),

    mark: (keys) =>
      run<KeyToMark, HsmResult<WrappedKey>>(
        keys,
        ({ row }) => (row.keyStore === ring.keyStore ? lacks(row.integrityKeyId) : foreign(row)),
        async (accepted) => (await dispatcher.run('mark', accepted, (failure) => failure)).map(rowWithBuffers),
      ),

    signHead: (head) => askLeastBusy((thread) => thread.ask('sign-head', head)),
    attestOrder: (order) => askLeastBusy((thread) => thread.ask('attest-order', order)),
    probe() {
      // Whoever asks is in doubt about the device. A thread that cannot answer ends with its keys.
      for (const thread of threads) if (thread.alive) thread.ask('close-keys', undefined).catch(() => {});
      return askLeastBusy((thread) => thread.ask('probe', undefined));
    },

    stop() {
      stopped ??= stopThreads(threads, dispatcher);
      return stopped;
    },
  };
}

function wireSignJob({ key, requests }: SignJob): WireSignJob {
  return {
    keyId: key.keyId,
    type: key.type,
    publicKey: key.publicKey,
    masterKeyId: key.masterKeyId,
    blob: toWire(key.blob),
    requests: requests.map(({ digests }) => digests.map(toWire)),
  };
}

function wireTag(key: WrappedKey): WireTag {
  return { integrityKeyId: key.integrityKeyId, message: toWire(tagMessage(key)), tag: toWire(key.tag) };
}

/** Buffers arrive from a thread as Uint8Array. */
function madeWithBuffers(result: HsmResult<GeneratedKey>): HsmResult<GeneratedKey> {
  if (!result.ok) return result;
  const { key, attestation } = result.value;
  return { ok: true, value: { key: withBuffers(key), attestation } };
}

function rowWithBuffers(result: HsmResult<WrappedKey>): HsmResult<WrappedKey> {
  return result.ok ? { ok: true, value: withBuffers(result.value) } : result;
}

function foreign({ keyId, keyStore }: WrappedKey): HsmResult<never> {
  return failureOf(new CodedError('KEY_UNUSABLE', `key ${keyId} is of key store ${keyStore}`));
}

async function stopThreads(threads: readonly ThreadHandle[], dispatcher: Dispatcher): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, stopTimeoutMs, 'late');
  });
  const orderly = async (): Promise<'done'> => {
    await dispatcher.idle();
    await Promise.allSettled(threads.map((thread) => thread.ask('close', undefined)));
    await Promise.all(threads.map((thread) => thread.gone));
    return 'done';
  };
  const outcome = await Promise.race([orderly(), late]);
  clearTimeout(timer);
  if (outcome === 'late') await endByForce(threads);
}
