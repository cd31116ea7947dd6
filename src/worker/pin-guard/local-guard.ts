import { randomUUID } from 'node:crypto';
import { CodedError } from '../../shared/errors.ts';
import type { FirstLogin } from '../hsm/login-guard.ts';
import type { LocalResults } from './local-results.ts';
import { pinVersion } from './pin-version.ts';
import { pinVerdict } from './verdict.ts';

/**
 * The PIN guard of a command that has no database: what this machine wrote down decides, by the same rules. It does not
 * know what other machines saw; the caller says so where that matters.
 */
export function localGuard(
  local: LocalResults,
  slot: { readonly name: string; readonly pinGuardGroup?: string | undefined },
): FirstLogin {
  return async ({ flags, label, serial }, pin, login, outcome) => {
    const guardGroup = slot.pinGuardGroup ?? (serial || label);
    const version = await pinVersion(guardGroup, pin);
    const attempt = randomUUID();
    const known = local
      .read()
      .filter((one) => one.guardGroup === guardGroup)
      .map((one) => ({ ...one, where: `slot ${one.slot}, ${one.at}` }));
    const verdict = pinVerdict({ tokenSerial: serial, version, flags, rows: [], local: known, attempt });
    if (verdict.do === 'latch') throw new CodedError(verdict.code, `token “${label}” (${serial}): ${verdict.why}`);
    try {
      return await login();
    } finally {
      const state = outcome();
      if (state === 'refused' || state === 'succeeded') {
        const result = { guardGroup, tokenSerial: serial, tokenLabel: label, slot: slot.name, version, attempt, state };
        local.write(result);
      }
    }
  };
}
