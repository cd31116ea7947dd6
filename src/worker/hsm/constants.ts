/**
 * The numbers of PKCS#11 (OASIS, 3.1, pkcs11t.h) that this program uses, under the standard's own names. Written here and
 * not taken from the binding: it lacks several (CKM_EDDSA, CKK_EC_EDWARDS, CKM_AES_KEY_WRAP_KWP), and an `undefined` among
 * its constants is passed on without a word.
 */

/** Object classes. */
export const CKO = { PUBLIC_KEY: 0x02, PRIVATE_KEY: 0x03, SECRET_KEY: 0x04 } as const;

/** Key types. */
export const CKK = { RSA: 0x00, EC: 0x03, GENERIC_SECRET: 0x10, AES: 0x1f, EC_EDWARDS: 0x40 } as const;

/** Mechanisms. */
export const CKM = {
  RSA_PKCS_KEY_PAIR_GEN: 0x0000,
  RSA_PKCS_OAEP: 0x0009,
  SHA_1: 0x0220,
  SHA256: 0x0250,
  SHA256_HMAC: 0x0251,
  GENERIC_SECRET_KEY_GEN: 0x0350,
  EC_KEY_PAIR_GEN: 0x1040,
  ECDSA: 0x1041,
  EC_EDWARDS_KEY_PAIR_GEN: 0x1055,
  EDDSA: 0x1057,
  AES_KEY_GEN: 0x1080,
  AES_ECB: 0x1081,
  AES_CBC_PAD: 0x1085,
  AES_GCM: 0x1087,
  /** RFC 5649 in SoftHSM; something else in openCryptoki: never trusted by its number. */
  AES_KEY_WRAP_PAD: 0x210a,
  /** RFC 5649 by the standard. */
  AES_KEY_WRAP_KWP: 0x210b,
} as const;

/** Mask generation functions and the source of the label, for RSA-OAEP. */
export const CKG = { MGF1_SHA1: 0x01, MGF1_SHA256: 0x02 } as const;
export const CKZ = { DATA_SPECIFIED: 0x01 } as const;

/** Attributes. */
export const CKA = {
  CLASS: 0x0000,
  TOKEN: 0x0001,
  PRIVATE: 0x0002,
  LABEL: 0x0003,
  VALUE: 0x0011,
  KEY_TYPE: 0x0100,
  ID: 0x0102,
  SENSITIVE: 0x0103,
  ENCRYPT: 0x0104,
  DECRYPT: 0x0105,
  WRAP: 0x0106,
  UNWRAP: 0x0107,
  SIGN: 0x0108,
  VERIFY: 0x010a,
  DERIVE: 0x010c,
  MODULUS: 0x0120,
  MODULUS_BITS: 0x0121,
  PUBLIC_EXPONENT: 0x0122,
  VALUE_LEN: 0x0161,
  EXTRACTABLE: 0x0162,
  LOCAL: 0x0163,
  NEVER_EXTRACTABLE: 0x0164,
  ALWAYS_SENSITIVE: 0x0165,
  MODIFIABLE: 0x0170,
  COPYABLE: 0x0171,
  EC_PARAMS: 0x0180,
  EC_POINT: 0x0181,
  UNWRAP_TEMPLATE: 0x40000212,
  ALLOWED_MECHANISMS: 0x40000600,
} as const;

/** Flags: C_Initialize, C_OpenSession, and those of CK_TOKEN_INFO and CK_MECHANISM_INFO. */
export const CKF = {
  OS_LOCKING_OK: 0x02,
  RW_SESSION: 0x02,
  SERIAL_SESSION: 0x04,
  USER_PIN_INITIALIZED: 0x08,
  TOKEN_INITIALIZED: 0x400,
  USER_PIN_COUNT_LOW: 0x1_0000,
  USER_PIN_FINAL_TRY: 0x2_0000,
  USER_PIN_LOCKED: 0x4_0000,
  WRAP: 0x2_0000,
  UNWRAP: 0x4_0000,
} as const;

/** User types of C_Login. */
export const CKU = { SO: 0, USER: 1 } as const;
