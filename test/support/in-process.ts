import { readFileSync } from 'node:fs';
import type { SlotConfiguration } from '../../src/shared/configuration/sections.ts';
import { createKeyRing } from '../../src/shared/key-ring.ts';
import { admitLogin, createLoginGuard } from '../../src/worker/hsm/login-guard.ts';
import { type Cryptoki, type Handle, loadModule } from '../../src/worker/hsm/module.ts';
import { login, selectToken } from '../../src/worker/hsm/token.ts';
import { openWorkbench, type Workbench } from '../../src/worker/hsm/workbench.ts';
import type { SoftKeyStore } from './soft-token.ts';

/**
 * PKCS#11 in the test's own process, for what the driver's messages do not let one see. The library stays loaded: one
 * SOFTHSM2_CONF for each test file.
 */
export function load(slot: SlotConfiguration): Cryptoki {
  Object.assign(process.env, slot.environment);
  const cryptoki = loadModule(slot.module);
  cryptoki.initialize();
  return cryptoki;
}

export function logIn(cryptoki: Cryptoki, slot: SlotConfiguration): Handle {
  const token = selectToken(cryptoki, { label: slot.tokenLabel });
  const session = cryptoki.openSession(token.slot);
  login(cryptoki, session, token, Buffer.from(readFileSync(slot.pinFile, 'utf8').trim()));
  return session;
}

/** What a session thread works with. `cryptoki` may be a real one with some functions replaced. */
export function bench(cryptoki: Cryptoki, store: Pick<SoftKeyStore, 'ceremony'>, slot: SlotConfiguration): Workbench {
  const guard = createLoginGuard();
  admitLogin(guard, Buffer.from(readFileSync(slot.pinFile, 'utf8').trim()));
  return openWorkbench(cryptoki, { slot, ring: createKeyRing(store.ceremony), purpose: 'signing', guard });
}
