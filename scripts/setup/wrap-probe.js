// Run as `node wrap-probe.js MODULE FOLDER`, a process of its own since a broken PKCS#11 module may crash it. Makes a
// throw-away token in the (empty) folder, and for each curve generates a key, wraps it, unwraps it, signs, and verifies in
// software. Prints one line of JSON.
import { createHash, createPublicKey, verify } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pkcs11 from 'pkcs11js';

const CKM_AES_KEY_WRAP_PAD = 0x210a;
const CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055;
const CKM_EDDSA = 0x1057;
const CKK_EC_EDWARDS = 0x40;
const pin = '123456';

const ec = { keyType: pkcs11.CKK_EC, generate: pkcs11.CKM_EC_KEY_PAIR_GEN, sign: pkcs11.CKM_ECDSA, hash: 'sha256' };
const ed = { keyType: CKK_EC_EDWARDS, generate: CKM_EC_EDWARDS_KEY_PAIR_GEN, sign: CKM_EDDSA, hash: null };
/** `params` names the curve for the token; `spki` is what makes a public key of it out of the bare point. */
const curves = {
  secp256k1: { ...ec, params: '06052b8104000a', spki: '3056301006072a8648ce3d020106052b8104000a034200' },
  'P-256': { ...ec, params: '06082a8648ce3d030107', spki: '3059301306072a8648ce3d020106082a8648ce3d030107034200' },
  ed25519: { ...ed, params: '06032b6570', spki: '302a300506032b6570032100' },
};

const [module, folder] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(probe(module))}\n`);

function probe(module) {
  mkdirSync(join(folder, 'tokens'));
  const configuration = join(folder, 'softhsm2.conf');
  writeFileSync(
    configuration,
    `directories.tokendir = ${folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n`,
  );
  process.env.SOFTHSM2_CONF = configuration;

  const token = new pkcs11.PKCS11();
  token.load(module);
  token.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK });
  const info = token.C_GetInfo();
  const slots = token.C_GetSlotList(true);
  // C_InitToken erases a token. Never on anything but a SoftHSM that shows exactly the one empty slot of our new folder.
  const empty = slots.length === 1 && (token.C_GetTokenInfo(slots[0]).flags & pkcs11.CKF_TOKEN_INITIALIZED) === 0;
  if (!/softhsm/i.test(info.manufacturerID) || !empty)
    return { refused: `not a SoftHSM (${info.manufacturerID.trim()})` };

  token.C_InitToken(slots[0], pin, 'probe'.padEnd(32));
  const session = openSession(token);
  const working = [];
  const failed = {};
  const master = token.C_GenerateKey(session, { mechanism: pkcs11.CKM_AES_KEY_GEN }, [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_AES },
    { type: pkcs11.CKA_VALUE_LEN, value: 32 },
    { type: pkcs11.CKA_TOKEN, value: false },
    { type: pkcs11.CKA_WRAP, value: true },
    { type: pkcs11.CKA_UNWRAP, value: true },
  ]);
  for (const [name, curve] of Object.entries(curves)) {
    try {
      tryCurve(token, session, master, curve);
      working.push(name);
    } catch (error) {
      failed[name] = error.message;
    }
  }
  token.C_Finalize();
  const { major, minor } = info.libraryVersion;
  return { library: `${info.manufacturerID.trim()} ${major}.${minor}`, curves: working, failed };
}

function openSession(token) {
  const slot = token
    .C_GetSlotList(true)
    .find((id) => (token.C_GetTokenInfo(id).flags & pkcs11.CKF_TOKEN_INITIALIZED) !== 0);
  const session = token.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION);
  token.C_Login(session, pkcs11.CKU_SO, pin);
  token.C_InitPIN(session, pin);
  token.C_Logout(session);
  token.C_Login(session, pkcs11.CKU_USER, pin);
  return session;
}

function tryCurve(token, session, master, curve) {
  const privateKey = (extractable) => [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: curve.keyType },
    { type: pkcs11.CKA_TOKEN, value: false },
    { type: pkcs11.CKA_PRIVATE, value: true },
    { type: pkcs11.CKA_SENSITIVE, value: true },
    { type: pkcs11.CKA_SIGN, value: true },
    { type: pkcs11.CKA_EXTRACTABLE, value: extractable },
  ];
  const publicKey = [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PUBLIC_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: curve.keyType },
    { type: pkcs11.CKA_TOKEN, value: false },
    { type: pkcs11.CKA_PRIVATE, value: false },
    { type: pkcs11.CKA_EC_PARAMS, value: Buffer.from(curve.params, 'hex') },
  ];
  const wrap = { mechanism: CKM_AES_KEY_WRAP_PAD };
  const pair = token.C_GenerateKeyPair(session, { mechanism: curve.generate }, publicKey, privateKey(true));
  const blob = Buffer.from(token.C_WrapKey(session, wrap, master, pair.privateKey, Buffer.alloc(1024)));
  const key = token.C_UnwrapKey(session, wrap, master, blob, privateKey(false));
  const message = Buffer.alloc(32, 7);
  const input = curve.hash === null ? message : createHash(curve.hash).update(message).digest();
  token.C_SignInit(session, { mechanism: curve.sign }, key);
  const signature = Buffer.from(token.C_Sign(session, input, Buffer.alloc(256)));

  // CKA_EC_POINT is an OCTET STRING: two bytes (tag, length), then the point.
  const [{ value: point }] = token.C_GetAttributeValue(session, pair.publicKey, [{ type: pkcs11.CKA_EC_POINT }]);
  const spki = Buffer.concat([Buffer.from(curve.spki, 'hex'), point.subarray(2)]);
  const verifier = { key: createPublicKey({ key: spki, format: 'der', type: 'spki' }), dsaEncoding: 'ieee-p1363' };
  if (!verify(curve.hash, message, verifier, signature)) throw new Error('the signature does not verify in software');
}
