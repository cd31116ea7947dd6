import type { CeremonyFile } from '../../shared/ceremony-file.ts';
import { checkSecretFile } from '../../shared/configuration/secret-file.ts';
import type { SlotConfiguration } from '../../shared/configuration/sections.ts';
import { CodedError } from '../../shared/errors.ts';
import { type Capability, capability, type RequestKind } from '../../shared/keys.ts';
import type { Log } from '../../shared/log.ts';
import { tagMessage, type WrappedKey } from '../wrapped-key.ts';
import { Dispatcher } from './dispatcher.ts';
import { failureOf } from './failure.ts';
import type { GeneratedKey, GenerateKeyJob, HsmResult, SignAnswer, SignJob } from './jobs.ts';
import { createLoginGuard } from './login-guard.ts';
import type { TokenInfo } from './module.ts';
import type { ProbedCurve, Proof } from './probe.ts';
import { startThread, type ThreadHandle } from './thread-handle.ts';
import { asBuffer, type ThreadData, toWire, type WireSignJob, type WireTag } from './thread-protocol.ts';

/**
 * The HSM of one slot, as a worker's main thread sees it: session threads that make synchronous calls, and nothing that
 * blocks here. It never decides what a failure means for the slot: each answer says what it says about the device.
 */
export interface Hsm {
  /** What the probe proved and a canary of the ceremony confirmed. */
  readonly capabilities: readonly Capability[];
  readonly probeTable: readonly ProbedCurve[];
  readonly token: Omit<TokenInfo, 'flags'>;
  generateKeys(jobs: readonly GenerateKeyJob[]): Promise<readonly HsmResult<GeneratedKey>[]>;
  /** Spread over the threads; one unwrap per job. */
  sign(jobs: readonly SignJob[]): Promise<readonly SignAnswer[]>;
  /** Whether each row's tag is the integrity key's, and the row is of this key store and master key. */
  checkTags(keys: readonly WrappedKey[]): Promise<readonly HsmResult<boolean>[]>;
  /** A real wrap, unwrap, sign and verify, and a canary: decides whether a suspect device is good or lost. */
  probe(): Promise<HsmResult<undefined>>;
  /** How long the native call that has lasted longest has lasted; 0 when none is in flight. */
  oldestCallMs(): number;
  /** Waits for what is at work, closes the sessions, ends the threads; by force after two seconds. */
  stop(): Promise<void>;
}

export interface HsmOptions {
  readonly slot: SlotConfiguration;
  readonly keyStore: string;
  readonly ceremony: CeremonyFile;
  /** This token's start-up turn: held from C_Initialize to the end of the last C_Login. */
  readonly turn: { take(): Promise<void>; done(): void };
  readonly log: Log;
  /** Called before the first native call, so that a hang while opening is seen too. */
  readonly watch?: (oldestCallMs: () => number) => void;
}

const stopTimeoutMs = 2_000;

/**
 * Opens a slot and proves it. On failure everything that was started is ended, and the turn given back.
 * @throws SECRET_FILE_…, MODULE_NOT_LOADED, TOKEN_…, PIN_REFUSED, MASTER_KEY_…, HSM_…, CONFIG_INVALID
 */
export async function openHsm(options: HsmOptions): Promise<Hsm> {
  const { slot, keyStore, ceremony, log } = options;
  if (ceremony.keyStore !== keyStore) {
    throw new CodedError(
      'CONFIG_INVALID',
      `the ceremony file is of key store ${ceremony.keyStore}, this node serves ${keyStore}`,
    );
  }
  checkSecretFile(slot.pinFile, `slot ${slot.name} pinFile`);
  // On this thread the assignment reaches the C library's environment, where the module's getenv() looks.
  Object.assign(process.env, slot.environment);

  const clocks = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT * slot.sessions));
  const oldestCallMs = (): number => oldest(clocks);
  options.watch?.(oldestCallMs);
  const data: Omit<ThreadData, 'index'> = { slot, ceremony, guard: createLoginGuard(), clocks };
  const threads: ThreadHandle[] = [];
  try {
    const token = await openSessions(data, threads, options);
    const [first] = threads;
    if (first === undefined) throw new CodedError('CONFIG_INVALID', `slot ${slot.name} has no sessions`);
    const proof = await first.ask('prove', undefined);
    await Promise.all(threads.map((thread) => thread.ask('arm', proof.startUpBlob)));
    log.info(
      { probe: proof.probeTable, capabilities: proof.capabilities, masterKey: ceremony.masterKey.id },
      'slot proven',
    );
    return createHsm(token, proof, threads, oldestCallMs, ceremony);
  } catch (error) {
    // Not awaited: it does not return while a native call hangs, and the process is about to end anyway.
    for (const thread of threads) void thread.terminate();
    throw error;
  }
}

/** Threads load their code side by side, then open their sessions one after another inside the turn. */
async function openSessions(
  data: Omit<ThreadData, 'index'>,
  threads: ThreadHandle[],
  { slot, turn, log }: HsmOptions,
): Promise<TokenInfo> {
  const began = performance.now();
  // Few at a time: starting threads keep the main loop from its heartbeat.
  for (let index = 0; index < slot.sessions; index += startedTogether) {
    const indexes = Array.from(
      { length: Math.min(startedTogether, slot.sessions - index) },
      (_, offset) => index + offset,
    );
    const started = await Promise.allSettled(indexes.map((one) => startThread({ ...data, index: one })));
    for (const one of started) if (one.status === 'fulfilled') threads.push(one.value);
    for (const one of started) if (one.status === 'rejected') throw one.reason;
  }
  const loaded = performance.now();
  await turn.take();
  try {
    let token: TokenInfo | undefined;
    for (const thread of threads) {
      const opened = await thread.ask('open', undefined);
      token ??= opened.token;
      if (opened.countLow)
        log.warn(
          { token: opened.token.label },
          'a wrong PIN was tried on this token before; the counter is low until a right login',
        );
    }
    if (token === undefined) throw new CodedError('CONFIG_INVALID', `slot ${slot.name} has no sessions`);
    const ms = { load: Math.round(loaded - began), open: Math.round(performance.now() - loaded) };
    log.info({ token: token.label, serial: token.serial, sessions: threads.length, ms }, 'sessions open');
    return token;
  } finally {
    turn.done();
  }
}

const startedTogether = 4;

function createHsm(
  { flags: _, ...token }: TokenInfo,
  proof: Proof,
  threads: readonly ThreadHandle[],
  oldestCallMs: () => number,
  ceremony: CeremonyFile,
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

  return {
    token,
    capabilities: proof.capabilities,
    probeTable: proof.probeTable,
    oldestCallMs,

    generateKeys: (jobs) =>
      run<GenerateKeyJob, HsmResult<GeneratedKey>>(
        jobs,
        (job) => refusedCurve('GenerateKey', job.type),
        async (accepted) => (await dispatcher.run('generate', accepted, (failure) => failure)).map(withBuffers),
      ),

    sign: (jobs) =>
      run<SignJob, SignAnswer>(
        jobs,
        ({ key, requests }) => {
          const refusal = refusedCurve('Sign', key.type) ?? refusedRow(key, ceremony);
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
        (key) => (ofThisStore(key, ceremony) ? undefined : { ok: true, value: false }),
        (accepted) => dispatcher.run('check-tags', accepted.map(wireTag), (failure) => failure),
      ),

    async probe() {
      const thread = threads.filter((one) => one.alive).sort((left, right) => left.inFlight - right.inFlight)[0];
      if (thread === undefined)
        return { ...failureOf(new CodedError('HSM_DEVICE_FAULT', 'every session thread has ended')), device: 'lost' };
      try {
        return await thread.ask('probe', undefined);
      } catch (error) {
        return { ...failureOf(error), device: 'lost' };
      }
    },

    stop() {
      stopped ??= stopThreads(threads, dispatcher);
      return stopped;
    },
  };
}

function ofThisStore(key: WrappedKey, { keyStore, masterKey, integrityKey }: CeremonyFile): boolean {
  return key.keyStore === keyStore && key.masterKeyId === masterKey.id && key.integrityKeyId === integrityKey.id;
}

/** A row that no master key on this slot can open, whatever its blob. */
function refusedRow(key: WrappedKey, { masterKey }: CeremonyFile): HsmResult<never> | undefined {
  if (key.masterKeyId === masterKey.id && key.wrapAlgorithm === masterKey.wrapAlgorithm) return undefined;
  const wrapped = `wrapped by ${key.masterKeyId} with ${key.wrapAlgorithm}, this slot holds ${masterKey.id} with ${masterKey.wrapAlgorithm}`;
  return failureOf(new CodedError('KEY_UNUSABLE', `key ${key.keyId} is ${wrapped}`));
}

function wireSignJob({ key, requests }: SignJob): WireSignJob {
  return {
    keyId: key.keyId,
    type: key.type,
    publicKey: key.publicKey,
    blob: toWire(key.blob),
    requests: requests.map(({ digests }) => digests.map(toWire)),
  };
}

function wireTag(key: WrappedKey): WireTag {
  return { message: toWire(tagMessage(key)), tag: toWire(key.tag) };
}

/** Buffers arrive from a thread as Uint8Array. */
function withBuffers(result: HsmResult<GeneratedKey>): HsmResult<GeneratedKey> {
  if (!result.ok) return result;
  const { key, attestation } = result.value;
  return { ok: true, value: { key: { ...key, blob: asBuffer(key.blob), tag: asBuffer(key.tag) }, attestation } };
}

/** Milliseconds since the earliest call in flight began. */
function oldest(clocks: BigInt64Array): number {
  let earliest = 0n;
  for (let index = 0; index < clocks.length; index += 1) {
    const began = Atomics.load(clocks, index);
    if (began !== 0n && (earliest === 0n || began < earliest)) earliest = began;
  }
  return earliest === 0n ? 0 : Math.max(0, Number(process.hrtime.bigint() - earliest) / 1e6);
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
  if ((await Promise.race([orderly(), late])) === 'late') for (const thread of threads) void thread.terminate();
  clearTimeout(timer);
}
