import { randomUUID } from 'node:crypto';
import { CodedError } from '../../shared/errors.ts';
import type { FirstLogin } from '../hsm/login-guard.ts';
import type { LocalResults } from './local-results.ts';
import { pinVersion } from './pin-version.ts';
import { type PinRow, pinVerdict } from './verdict.ts';

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
    local.noteSlot({ slot: slot.name, guardGroup, tokenSerial: serial, tokenLabel: label });
    const version = await pinVersion(guardGroup, pin);
    const attempt = randomUUID();
    const known = local
      .read()
      .filter((one) => one.guardGroup === guardGroup)
      .map((one) => ({ ...one, where: `slot ${one.slot}, ${one.at}` }));
    const rows = allowance(local.allowedAtMs(guardGroup), serial);
    const verdict = pinVerdict({ tokenSerial: serial, version, flags, rows, local: known, attempt });
    if (verdict.do === 'latch') throw new CodedError(verdict.code, `token “${label}” (${serial}): ${verdict.why}`);

    const opened = known.find(
      (one) => one.tokenSerial === serial && one.version === version && one.state === 'succeeded',
    );
    // A node of this machine may know more: its database still says what this machine did, when it opened the token.
    const follows = opened?.follows ?? opened?.attempt;
    const result = { guardGroup, tokenSerial: serial, tokenLabel: label, slot: slot.name, version, attempt, follows };
    // A process that dies while it tries has failed, as far as anybody will know.
    if (opened === undefined) local.write({ ...result, state: 'refused' });
    try {
      return await login();
    } finally {
      const state = outcome();
      if (state === 'refused' || state === 'succeeded') {
        local.write({ ...result, state });
        local.useAllowance(guardGroup);
      } else if (opened === undefined) local.forget(result);
    }
  };
}

/** An operator’s order accounts for a counter that is low; no PIN has this version. */
function allowance(allowedAtMs: number | undefined, tokenSerial: string): readonly PinRow[] {
  if (allowedAtMs === undefined) return [];
  const version = '0'.repeat(16);
  return [
    {
      tokenSerial,
      version,
      state: 'cleared',
      attempt: '',
      alive: false,
      endedAtMs: allowedAtMs,
      where: 'this machine',
    },
  ];
}
