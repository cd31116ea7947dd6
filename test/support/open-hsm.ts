import { randomUUID } from 'node:crypto';
import type { CeremonyFile } from '../../src/shared/ceremony-file.ts';
import type { SlotConfiguration } from '../../src/shared/configuration/sections.ts';
import { createKeyRing } from '../../src/shared/key-ring.ts';
import { type Curve, type KeyType, schemeOf } from '../../src/shared/keys.ts';
import { createLog } from '../../src/shared/log.ts';
import type { GenerateKeyJob, HsmResult } from '../../src/worker/hsm/jobs.ts';
import type { FirstLogin } from '../../src/worker/hsm/login-guard.ts';
import { type Hsm, openHsm, type SlotPurpose } from '../../src/worker/hsm/session-threads.ts';
import type { WrappedKey } from '../../src/worker/wrapped-key.ts';

/** Opens the HSM of a slot as a worker does. The caller stops it. */
export function open(
  { ceremony, further = [] }: { readonly ceremony: CeremonyFile; readonly further?: readonly CeremonyFile[] },
  slot: SlotConfiguration,
  purpose: SlotPurpose = 'signing',
): Promise<Hsm> {
  const turn = { take: async () => {}, done: () => {} };
  return openHsm({
    slot,
    ring: createKeyRing(ceremony, further),
    purpose,
    turn,
    firstLogin: anyPin,
    log: createLog('error', {}),
  });
}

/** No record of PINs is kept: a test's own token may be tried as often as it likes. */
export const anyPin: FirstLogin = (_token, _pin, login) => login();

export function keyType(curve: Curve): KeyType {
  return { scheme: schemeOf(curve), curve } as KeyType;
}

export function generateJob(curve: Curve): GenerateKeyJob {
  return {
    requestId: `key-${randomUUID()}`,
    keyId: `key-${randomUUID()}`,
    organisation: 'or-test',
    type: keyType(curve),
  };
}

/** One key of a curve. */
export async function makeKey(hsm: Hsm, curve: Curve): Promise<WrappedKey> {
  const [made] = await hsm.generateKeys([generateJob(curve)]);
  return value(made).key;
}

/** The value of a result that must be good. */
export function value<Value>(result: HsmResult<Value> | undefined): Value {
  if (result === undefined) throw new Error('there is no result');
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
}
