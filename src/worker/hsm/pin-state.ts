import { CKF } from './constants.ts';

/** What a token says of its user PIN without a login, the gravest first (PKCS#11 3.1 section 3.2, CK_TOKEN_INFO). */
export type PinState = 'locked' | 'final try' | 'count low' | 'not set' | 'good';

/** @param flags of CK_TOKEN_INFO. */
export function pinState(flags: number): PinState {
  if ((flags & CKF.USER_PIN_LOCKED) !== 0) return 'locked';
  if ((flags & CKF.USER_PIN_FINAL_TRY) !== 0) return 'final try';
  if ((flags & CKF.USER_PIN_COUNT_LOW) !== 0) return 'count low';
  return (flags & CKF.USER_PIN_INITIALIZED) === 0 ? 'not set' : 'good';
}
