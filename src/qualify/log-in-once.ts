import { randomUUID } from 'node:crypto';
import { readSecretFile } from '../shared/configuration/secret-file.ts';
import { CodedError } from '../shared/errors.ts';
import { type Cryptoki, type Handle, loadModule } from '../worker/hsm/module.ts';
import { login, selectToken, type Token } from '../worker/hsm/token.ts';
import { openLocalResults } from '../worker/pin-guard/local-results.ts';
import { pinVersion } from '../worker/pin-guard/pin-version.ts';
import type { QualifiedSlot, QualifyCalls } from './calls.ts';

export interface Opened {
  readonly slot: QualifiedSlot;
  readonly cryptoki: Cryptoki;
  readonly token: Token;
  readonly handle: Handle;
}

/**
 * Loads the module, selects the token, logs in: one attempt. A PIN that this node wrote down as refused is not tried, and
 * a refusal is written down, so that no worker of the node tries it again either.
 * @throws MODULE_NOT_LOADED, TOKEN_…, SECRET_FILE_…, PIN_REFUSED, PIN_NOT_TRIED, Pkcs11Fault
 */
export async function logInOnce({ slot, stateDirectory }: QualifyCalls['open']['ask']): Promise<Opened> {
  const cryptoki = loadModule(slot.module);
  cryptoki.initialize();
  const token = selectToken(cryptoki, { label: slot.tokenLabel, serial: slot.tokenSerial });
  const handle = cryptoki.openSession(token.slot);
  const pin = readSecretFile(slot.pinFile, `slot ${slot.name} pinFile`);
  const { label, serial } = token.info;
  const guardGroup = slot.pinGuardGroup ?? (serial || label);
  const version = await pinVersion(guardGroup, pin);
  const results = stateDirectory === undefined ? undefined : openLocalResults(stateDirectory);
  const before = results
    ?.read()
    .find((one) => one.guardGroup === guardGroup && one.version === version && one.state === 'refused');
  if (before !== undefined) {
    pin.fill(0);
    const where = `slot ${before.slot}, ${before.at}`;
    throw new CodedError('PIN_REFUSED', `token “${label}” (${serial}): refused before (${where}); no login was tried`);
  }
  try {
    login(cryptoki, handle, token, pin);
  } catch (error) {
    if (error instanceof CodedError && error.code === 'PIN_REFUSED') {
      const result = { guardGroup, tokenSerial: serial, tokenLabel: label, slot: slot.name, version };
      results?.write({ ...result, attempt: randomUUID(), state: 'refused' });
    }
    throw error;
  }
  return { slot, cryptoki, token, handle };
}
