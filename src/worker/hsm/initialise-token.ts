import { CodedError } from '../../shared/errors.ts';
import { CKF, CKU } from './constants.ts';
import type { Cryptoki } from './module.ts';

/**
 * Initialises the first empty slot of a software module. Never used on a real HSM, whose vendor has tools for it.
 * @param cryptoki initialised.
 * @returns the serial number the token was given.
 * @throws TOKEN_AMBIGUOUS when the label is taken, TOKEN_NOT_FOUND when no slot is empty, Pkcs11Fault
 */
export function initialiseEmptyToken(
  cryptoki: Cryptoki,
  module: string,
  { label, soPin, pin }: { readonly label: string; readonly soPin: string; readonly pin: string },
): { readonly serial: string } {
  const slots = cryptoki.slots().map((slot) => ({ slot, info: cryptoki.tokenInfo(slot) }));
  if (slots.some(({ info }) => info.label === label)) {
    throw new CodedError('TOKEN_AMBIGUOUS', `there is a token “${label}” already`);
  }
  const empty = slots.find(({ info }) => (info.flags & CKF.TOKEN_INITIALIZED) === 0);
  if (empty === undefined) throw new CodedError('TOKEN_NOT_FOUND', `${module} has no slot with an uninitialised token`);
  cryptoki.initToken(empty.slot, Buffer.from(soPin), label);
  const session = cryptoki.openSession(empty.slot);
  cryptoki.login(session, CKU.SO, Buffer.from(soPin));
  cryptoki.initPin(session, Buffer.from(pin));
  return { serial: cryptoki.tokenInfo(empty.slot).serial };
}
