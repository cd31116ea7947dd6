import { createHash } from 'node:crypto';
import { CKA, CKF, CKK, CKM, CKO, CKU } from '../../../src/worker/hsm/constants.ts';
import { curveFacts } from '../../../src/worker/hsm/curve.ts';
import { type Cryptoki, type Handle, loadModule } from '../../../src/worker/hsm/module.ts';
import { generateTemplates, unwrapTemplate } from '../../../src/worker/hsm/templates.ts';

/** A small program's worth of PKCS#11, call by call: what the tests of the fault module do to it. Bytes are hex. */
export function createTokenUser(module: string, tokenLabel: string) {
  let cryptoki: Cryptoki;
  let session: Handle;
  let wrappingKey: Handle;
  let macKey: Handle;
  let pair: { publicKey: Handle; privateKey: Handle };

  function slot(): Handle {
    const found = cryptoki.slots().find((one) => cryptoki.tokenInfo(one).label === tokenLabel);
    if (found === undefined) throw new Error(`there is no token ${tokenLabel}`);
    return found;
  }

  const calls = {
    load() {
      cryptoki = loadModule(module);
    },
    initialize: () => cryptoki.initialize(),
    slots: () => cryptoki.slots().map((one) => one.toString('hex')),
    tokenFlags: () => cryptoki.tokenInfo(slot()).flags,
    open() {
      session = cryptoki.openSession(slot());
    },
    close: () => cryptoki.closeSession(session),
    login: (pin: string) => cryptoki.login(session, CKU.USER, Buffer.from(pin)),
    /** A wrapping key, a MAC key and a wallet key, all session objects. */
    makeKeys() {
      const secret = (keyType: number, length: number, ...flags: number[]) => [
        { type: CKA.CLASS, value: CKO.SECRET_KEY },
        { type: CKA.KEY_TYPE, value: keyType },
        { type: CKA.TOKEN, value: false },
        { type: CKA.VALUE_LEN, value: length },
        ...flags.map((type) => ({ type, value: true })),
      ];
      const wrapping = secret(CKK.AES, 32, CKA.WRAP, CKA.UNWRAP);
      wrappingKey = cryptoki.generateKey(session, { mechanism: CKM.AES_KEY_GEN }, wrapping);
      const mac = secret(CKK.GENERIC_SECRET, 32, CKA.SIGN);
      macKey = cryptoki.generateKey(session, { mechanism: CKM.GENERIC_SECRET_KEY_GEN }, mac);
      calls.makePair();
    },
    makePair() {
      const { publicKey, privateKey } = generateTemplates('P-256');
      const mechanism = { mechanism: curveFacts['P-256'].generate };
      pair = cryptoki.generateKeyPair(session, mechanism, publicKey, privateKey);
    },
    point: () => cryptoki.attribute(session, pair.publicKey, CKA.EC_POINT).toString('hex'),
    wrap: () =>
      cryptoki.wrapKey(session, { mechanism: CKM.AES_KEY_WRAP_PAD }, wrappingKey, pair.privateKey).toString('hex'),
    /** C_UnwrapKey and C_DestroyObject. */
    unwrap(blob: string) {
      const mechanism = { mechanism: CKM.AES_KEY_WRAP_PAD };
      const bytes = Buffer.from(blob, 'hex');
      const key = cryptoki.unwrapKey(session, mechanism, wrappingKey, bytes, unwrapTemplate('P-256'));
      cryptoki.destroyObject(session, key);
    },
    sign() {
      const digest = createHash('sha256').update(signedMessage).digest();
      return cryptoki.sign(session, { mechanism: CKM.ECDSA }, pair.privateKey, digest).toString('hex');
    },
    mac: () => cryptoki.sign(session, { mechanism: CKM.SHA256_HMAC }, macKey, signedMessage).toString('hex'),
    destroyPair() {
      cryptoki.destroyObject(session, pair.privateKey);
      cryptoki.destroyObject(session, pair.publicKey);
    },
  };
  return calls;
}

export type TokenUser = ReturnType<typeof createTokenUser>;

/** What `sign` signs the SHA-256 of, and `mac` authenticates. */
export const signedMessage = Buffer.from('message');

/** CK_TOKEN_INFO flags that tell of PIN tries. */
export const pinFlags = CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_LOCKED;
