import { checkSecretFile, readSecretFile } from '../../shared/configuration/secret-file.ts';
import type { SlotConfiguration } from '../../shared/configuration/sections.ts';
import { CodedError } from '../../shared/errors.ts';
import type { KeyRing } from '../../shared/key-ring.ts';
import type { Log } from '../../shared/log.ts';
import type { KnownRefusals } from '../pin-guard/refused-since.ts';
import { createCallCells, oldestCallMs } from './call-clock.ts';
import type { SlotPurpose } from './held-keys.ts';
import { createHsm, type Hsm } from './hsm.ts';
import { admitLogin, createLoginGuard, type FirstLogin, loginOutcome } from './login-guard.ts';
import type { TokenInfo } from './module.ts';
import { endByForce, startThread, type ThreadHandle } from './thread-handle.ts';
import type { Opened, ThreadData } from './thread-protocol.ts';

export type { SlotPurpose } from './held-keys.ts';
export type { Hsm } from './hsm.ts';

export interface HsmOptions {
  readonly slot: SlotConfiguration;
  readonly ring: KeyRing;
  /** Default: signing. */
  readonly purpose?: SlotPurpose;
  /** This token's start-up turn: held from C_Initialize to the end of the last C_Login. */
  readonly turn: { take(): Promise<void>; done(): void };
  /** Asks the cluster's record before this process's first login. */
  readonly firstLogin: FirstLogin;
  /** After it: what sessions ask before they log in again. */
  readonly knownRefusals?: () => KnownRefusals | undefined;
  readonly log: Log;
  /** Called before the first native call, so that a hang while opening is seen too. */
  readonly watch?: (oldestCallMs: () => number) => void;
}

/**
 * Opens a slot and proves it. On failure everything that was started is ended, and the turn given back.
 * @throws SECRET_FILE_…, MODULE_NOT_LOADED, TOKEN_…, PIN_REFUSED, MASTER_KEY_…, HSM_…, CONFIG_INVALID
 */
export async function openHsm(options: HsmOptions): Promise<Hsm> {
  const { slot, ring, purpose = 'signing', log } = options;
  checkSecretFile(slot.pinFile, `slot ${slot.name} pinFile`);
  // On this thread the assignment reaches the C library's environment, where the module's getenv() looks.
  Object.assign(process.env, slot.environment);

  const calls = createCallCells(slot.sessions);
  options.watch?.(() => oldestCallMs(calls));
  const data: Omit<ThreadData, 'index'> = { slot, ring, purpose, guard: createLoginGuard(), calls };
  const threads: ThreadHandle[] = [];
  try {
    const token = await openSessions(data, threads, options);
    const [first] = threads;
    if (first === undefined) throw new CodedError('CONFIG_INVALID', `slot ${slot.name} has no sessions`);
    const proof = await first.ask('prove', undefined);
    const { startUpBlob, keys } = proof;
    const armament = { startUpBlob, keys, refusals: options.knownRefusals?.() };
    await Promise.all(threads.map((thread) => thread.ask('arm', armament)));
    for (const row of proof.probeTable) log.info({ ...row }, 'curve and wrap mechanism probed');
    const { capabilities, fingerprint } = proof;
    log.info({ capabilities, masterKey: ring.current.masterKey.id, fingerprint: fingerprint?.value }, 'slot proven');
    for (const key of proof.keys) {
      if (!key.proven) log.warn({ key: key.id, cause: key.why }, 'slot lacks a further key; it cannot serve its rows');
    }
    return createHsm(token, proof, threads, calls, ring);
  } catch (error) {
    await endByForce(threads);
    throw error;
  }
}

/**
 * Threads load their code side by side, then open their sessions one after another inside the turn: as many as are
 * configured, or as the token has room for. Threads that found no room are ended and taken out of `threads`.
 */
async function openSessions(
  data: Omit<ThreadData, 'index'>,
  threads: ThreadHandle[],
  { slot, turn, firstLogin, log }: HsmOptions,
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
    for (const [index, thread] of threads.entries()) {
      let opened: Opened;
      try {
        opened = index === 0 ? await openFirst(data, thread, firstLogin) : await thread.ask('open', undefined);
      } catch (error) {
        if (index === 0 || !(error instanceof CodedError) || error.code !== 'HSM_BACK_PRESSURE') throw error;
        const sessions = { open: index, configured: slot.sessions };
        log.warn({ ...sessions, cause: error.detail }, 'token has no room for more sessions; slot works with fewer');
        await endByForce(threads.splice(index));
        break;
      }
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

async function openFirst({ slot, guard }: Omit<ThreadData, 'index'>, thread: ThreadHandle, firstLogin: FirstLogin) {
  const token = await thread.ask('select', undefined);
  const pin = readSecretFile(slot.pinFile, `slot ${slot.name} pinFile`);
  try {
    admitLogin(guard, pin);
    const open = (): Promise<Opened> => thread.ask('open', undefined);
    return await firstLogin(token, pin, open, () => loginOutcome(guard));
  } finally {
    pin.fill(0);
  }
}

const startedTogether = 4;
