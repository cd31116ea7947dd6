import { serveParent } from '../ceremony/child.ts';
import { logInOnce, type Opened } from '../ceremony/log-in-once.ts';
import { objectsOf } from '../worker/hsm/delivery/objects.ts';
import { codedError } from '../worker/hsm/failure.ts';
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
  count: (keys) => coded((one) => objectsOf(one.cryptoki, one.handle, keys).length),
  destroy: (keys) =>
    coded((one) => {
      const found = objectsOf(one.cryptoki, one.handle, keys);
      for (const object of found) one.cryptoki.destroyObject(one.handle, object);
      return { destroyed: found.length, left: objectsOf(one.cryptoki, one.handle, keys).length };
    }),
});

function coded<Value>(work: (one: Opened) => Value): Value {
  if (opened === undefined) throw new Error('the token was not opened');
  try {
    return work(opened);
  } catch (error) {
    throw codedError(error);
  }
}
