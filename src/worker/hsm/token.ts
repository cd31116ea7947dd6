import { CodedError } from '../../shared/errors.ts';
import { CKR } from './ckr.ts';
import { CKF, CKU } from './constants.ts';
import { Pkcs11Fault } from './fault.ts';
import type { LoginResult } from './login-guard.ts';
import type { Cryptoki, Handle, TokenInfo } from './module.ts';
import { pinState } from './pin-state.ts';

/** Which token is meant. */
export interface TokenChoice {
  readonly label: string;
  readonly serial?: string | undefined;
}

export interface Token {
  readonly slot: Handle;
  readonly info: TokenInfo;
}

/** SoftHSM 2.6.1 rewrites a token's file at login: another process sees CKR_GENERAL_ERROR or a token without its label. */
const racePauseMs = 40;
const raceAttempts = 5;

/**
 * The one initialised token with this label (and serial). Slots with an uninitialised token are listed too and skipped.
 * Not found and CKR_GENERAL_ERROR are tried again a few times: only ever called in this process's start-up turn.
 * @throws TOKEN_NOT_FOUND, TOKEN_AMBIGUOUS
 */
export function selectToken(cryptoki: Cryptoki, choice: TokenChoice): Token {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return selectOnce(cryptoki, choice);
    } catch (error) {
      if (attempt >= raceAttempts || !mayBeRace(error)) throw error;
      pause(racePauseMs);
    }
  }
}

function selectOnce(cryptoki: Cryptoki, { label, serial }: TokenChoice): Token {
  const tokens: Token[] = [];
  let unreadable: unknown;
  for (const slot of cryptoki.slots()) {
    try {
      const info = cryptoki.tokenInfo(slot);
      if ((info.flags & CKF.TOKEN_INITIALIZED) !== 0) tokens.push({ slot, info });
    } catch (fault) {
      unreadable = fault; // matters only when the token that is meant is not among the others
    }
  }
  const labelled = tokens.filter(({ info }) => info.label === label);
  const [found, ...others] = serial === undefined ? labelled : labelled.filter(({ info }) => info.serial === serial);
  if (found === undefined) {
    if (unreadable !== undefined) throw unreadable;
    const wanted = serial === undefined ? `“${label}”` : `“${label}” with serial ${serial}`;
    const there = tokens.map(({ info }) => `“${info.label}” (${info.serial})`).join(', ') || 'none';
    throw new CodedError('TOKEN_NOT_FOUND', `${wanted}; initialised tokens: ${there}`);
  }
  if (others.length > 0) {
    const serials = [found, ...others].map(({ info }) => info.serial).join(', ');
    throw new CodedError('TOKEN_AMBIGUOUS', `“${label}” is the label of the tokens with serial ${serials}`);
  }
  return found;
}

function mayBeRace(error: unknown): boolean {
  if (error instanceof CodedError) return error.code === 'TOKEN_NOT_FOUND';
  return error instanceof Pkcs11Fault && error.code === CKR.GENERAL_ERROR;
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/**
 * Logs the user in on a session; the login holds for every session of the process. One attempt, never repeated. That
 * somebody is logged in already is success, though it proves nothing about this PIN.
 * @param pin cleared before this returns.
 * @throws PIN_REFUSED; PIN_NOT_TRIED when the next wrong PIN would lock the token, or it is locked.
 */
export function login(cryptoki: Cryptoki, session: Handle, token: Token, pin: Buffer): LoginResult {
  const named = `token “${token.info.label}” (${token.info.serial})`;
  try {
    const state = pinState(cryptoki.tokenInfo(token.slot).flags);
    if (state === 'locked') {
      throw new CodedError('PIN_NOT_TRIED', `${named} is locked after wrong PINs`);
    }
    if (state === 'final try') {
      throw new CodedError('PIN_NOT_TRIED', `${named} would lock at the next wrong PIN`);
    }
    cryptoki.login(session, CKU.USER, pin);
    return { countLow: state === 'count low', already: false };
  } catch (error) {
    if (!(error instanceof Pkcs11Fault)) throw error;
    if (error.code === CKR.USER_ALREADY_LOGGED_IN) return { countLow: false, already: true };
    if (error.ckr.class === 'pin') throw new CodedError('PIN_REFUSED', `${named}: ${error.message}`, { cause: error });
    throw error;
  } finally {
    pin.fill(0);
  }
}
