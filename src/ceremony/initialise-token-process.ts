import { codedError } from '../worker/hsm/failure.ts';
import { initialiseEmptyToken } from '../worker/hsm/initialise-token.ts';
import { loadModule } from '../worker/hsm/module.ts';
import { serveParent } from './child.ts';
import type { InitialiseCalls } from './initialise-token.ts';

/** Entry of the process that initialises one token (see initialise-token.ts). */
serveParent<InitialiseCalls>({
  initialise({ module, ...token }) {
    try {
      const cryptoki = loadModule(module);
      cryptoki.initialize();
      return initialiseEmptyToken(cryptoki, module, token);
    } catch (error) {
      throw codedError(error);
    }
  },
});
