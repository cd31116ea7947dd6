import { serveParent } from '../ceremony/child.ts';
import { codedError } from '../worker/hsm/failure.ts';
import { loadModule } from '../worker/hsm/module.ts';
import { pinState } from '../worker/hsm/pin-state.ts';
import { selectToken } from '../worker/hsm/token.ts';
import type { TokenLook, TokenSeen } from './token-calls.ts';

/**
 * Entry of the process that looks at one token: a vendor's library may crash or hang. It opens no PIN file and logs
 * nobody in: a check must never cost a try of a PIN.
 */
serveParent<TokenLook>({
  look({ module, tokenLabel, tokenSerial }): TokenSeen {
    try {
      const cryptoki = loadModule(module);
      cryptoki.initialize();
      const { manufacturer, description, version } = cryptoki.info();
      const { info } = selectToken(cryptoki, { label: tokenLabel, serial: tokenSerial });
      const { label, serial, model, firmware, flags } = info;
      return {
        library: `${manufacturer} ${description} ${version}`,
        label,
        serial,
        model,
        firmware,
        pin: pinState(flags),
      };
    } catch (error) {
      throw codedError(error);
    }
  },
});
