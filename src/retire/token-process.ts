import { serveParent } from '../ceremony/child.ts';
import type { CeremonyKey } from '../ceremony/keys.ts';
import { logInOnce, type Opened } from '../ceremony/log-in-once.ts';
import { CKA } from '../worker/hsm/constants.ts';
import { codedError } from '../worker/hsm/failure.ts';
import type { Handle } from '../worker/hsm/module.ts';
import type { RetireCalls } from './calls.ts';

/** Entry of the process that owns the token of an HSM that is retired. It finds keys by their CKA_ID and touches no other. */
let opened: Opened | undefined;

serveParent<RetireCalls>({
  async open({ slot, record }) {
    try {
      opened = await logInOnce(slot, record);
    } catch (error) {
      throw codedError(error);
    }
    const { label, serial } = opened.token.info;
    return { label, serial };
  },
  count: (keys) => coded((one) => objects(one, keys).length),
  destroy: (keys) =>
    coded((one) => {
      const found = objects(one, keys);
      for (const object of found) one.cryptoki.destroyObject(one.handle, object);
      return { destroyed: found.length, left: objects(one, keys).length };
    }),
});

function objects({ cryptoki, handle }: Opened, keys: readonly CeremonyKey[]): Handle[] {
  return keys.flatMap(({ ckaId }) => cryptoki.find(handle, [{ type: CKA.ID, value: Buffer.from(ckaId, 'hex') }], 10));
}

function coded<Value>(work: (one: Opened) => Value): Value {
  if (opened === undefined) throw new Error('the token was not opened');
  try {
    return work(opened);
  } catch (error) {
    throw codedError(error);
  }
}
