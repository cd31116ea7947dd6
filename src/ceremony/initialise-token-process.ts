import { CodedError } from '../shared/errors.ts';
import { CKF, CKU } from '../worker/hsm/constants.ts';
import { codedError } from '../worker/hsm/failure.ts';
import { loadModule } from '../worker/hsm/module.ts';
import { serveParent } from './child.ts';
import type { InitialiseCalls } from './initialise-token.ts';

/** Entry of the process that initialises one token (see initialise-token.ts). */
serveParent<InitialiseCalls>({
  initialise({ module, label, soPin, pin }) {
    try {
      const cryptoki = loadModule(module);
      cryptoki.initialize();
      const slots = cryptoki.slots().map((slot) => ({ slot, info: cryptoki.tokenInfo(slot) }));
      if (slots.some(({ info }) => info.label === label)) {
        throw new CodedError('TOKEN_AMBIGUOUS', `there is a token “${label}” already`);
      }
      const empty = slots.find(({ info }) => (info.flags & CKF.TOKEN_INITIALIZED) === 0);
      if (empty === undefined)
        throw new CodedError('TOKEN_NOT_FOUND', `${module} has no slot with an uninitialised token`);
      cryptoki.initToken(empty.slot, Buffer.from(soPin), label);
      const session = cryptoki.openSession(empty.slot);
      cryptoki.login(session, CKU.SO, Buffer.from(soPin));
      cryptoki.initPin(session, Buffer.from(pin));
      return { serial: cryptoki.tokenInfo(empty.slot).serial };
    } catch (error) {
      throw codedError(error);
    }
  },
});
