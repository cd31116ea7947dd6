/**
 * What each return value of a PKCS#11 function (CKR_…, OASIS PKCS#11 3.1 section 5.1 and pkcs11t.h) says about whom:
 *
 *   request             the request or its data is at fault; the HSM is healthy
 *   back-pressure       no room for a session or an object: fewer sessions, wait
 *   session             this session is worn out: a new session and login, once, then the same again
 *   device              the HSM is at fault, or the way to it
 *   pin                 the PIN is refused: never tried again
 *   master-key-missing  a key of the key store is not (or no longer) there
 *
 * `ambiguous`: some tokens answer it for bad data too (SoftHSM: CKR_GENERAL_ERROR for a damaged blob), so a probe must
 * confirm it before the HSM is blamed. `gone`: this process will not reach the HSM again. This is the one table.
 */
export const ckrClasses = ['request', 'back-pressure', 'session', 'device', 'pin', 'master-key-missing'] as const;
export type CkrClass = (typeof ckrClasses)[number];

/** What the driver does about each class (failure.ts, workbench.ts); printed into docs/errors.md. */
export const ckrConsequences: Readonly<Record<CkrClass, string>> = {
  request:
    'the one request fails and its neighbours do not; the HSM counts as healthy. From C_UnwrapKey: the start-up blob is tried first, and the key is called unusable only when that opens',
  'back-pressure': 'the request is given back and may succeed on another slot or later; the HSM counts as healthy',
  session: 'a new session with a new login, once, and the same item again; if that fails too, a device fault',
  device: 'the request is given back, the slot is suspect, and a probe decides whether its process is replaced',
  pin: 'the slot is latched and nobody tries this PIN again until its file changes or an operator clears it',
  'master-key-missing':
    'a new session that looks the key up again, once; if it is still missing the slot takes no work, and no request is blamed',
};

/** What is special about an entry, in addition to its class. */
export function ckrRemark({ ambiguous, gone }: CkrEntry): string {
  if (gone === true) return 'this process cannot reach the HSM again: it is replaced without a probe';
  if (ambiguous === true) return 'some tokens answer it for bad data: from C_UnwrapKey, the start-up blob tells which';
  return '';
}

export interface CkrEntry {
  readonly name: `CKR_${string}`;
  readonly class: CkrClass;
  readonly ambiguous?: true;
  readonly gone?: true;
}

const ambiguous = true;
const gone = true;

/** By number, in the order of pkcs11t.h. CKR_OK is no error and not listed. */
export const ckrTable: ReadonlyMap<number, CkrEntry> = new Map<number, CkrEntry>([
  [0x001, { name: 'CKR_CANCEL', class: 'request' }],
  [0x002, { name: 'CKR_HOST_MEMORY', class: 'back-pressure' }],
  [0x003, { name: 'CKR_SLOT_ID_INVALID', class: 'device', gone }],
  [0x005, { name: 'CKR_GENERAL_ERROR', class: 'device', ambiguous }],
  [0x006, { name: 'CKR_FUNCTION_FAILED', class: 'device', ambiguous }],
  [0x007, { name: 'CKR_ARGUMENTS_BAD', class: 'request' }],
  [0x008, { name: 'CKR_NO_EVENT', class: 'request' }],
  [0x009, { name: 'CKR_NEED_TO_CREATE_THREADS', class: 'device', gone }],
  [0x00a, { name: 'CKR_CANT_LOCK', class: 'device', gone }],
  [0x010, { name: 'CKR_ATTRIBUTE_READ_ONLY', class: 'request' }],
  [0x011, { name: 'CKR_ATTRIBUTE_SENSITIVE', class: 'request' }],
  [0x012, { name: 'CKR_ATTRIBUTE_TYPE_INVALID', class: 'request' }],
  [0x013, { name: 'CKR_ATTRIBUTE_VALUE_INVALID', class: 'request' }],
  [0x01b, { name: 'CKR_ACTION_PROHIBITED', class: 'request' }],
  [0x020, { name: 'CKR_DATA_INVALID', class: 'request' }],
  [0x021, { name: 'CKR_DATA_LEN_RANGE', class: 'request' }],
  // AWS CloudHSM answers it when it throttles, Luna when the link dropped: a probe tells.
  [0x030, { name: 'CKR_DEVICE_ERROR', class: 'device', ambiguous }],
  [0x031, { name: 'CKR_DEVICE_MEMORY', class: 'back-pressure' }],
  [0x032, { name: 'CKR_DEVICE_REMOVED', class: 'device', gone }],
  [0x040, { name: 'CKR_ENCRYPTED_DATA_INVALID', class: 'request' }],
  [0x041, { name: 'CKR_ENCRYPTED_DATA_LEN_RANGE', class: 'request' }],
  [0x042, { name: 'CKR_AEAD_DECRYPT_FAILED', class: 'request' }],
  [0x050, { name: 'CKR_FUNCTION_CANCELED', class: 'session' }],
  [0x051, { name: 'CKR_FUNCTION_NOT_PARALLEL', class: 'request' }],
  [0x054, { name: 'CKR_FUNCTION_NOT_SUPPORTED', class: 'request' }],
  [0x060, { name: 'CKR_KEY_HANDLE_INVALID', class: 'session' }],
  [0x062, { name: 'CKR_KEY_SIZE_RANGE', class: 'request' }],
  [0x063, { name: 'CKR_KEY_TYPE_INCONSISTENT', class: 'request' }],
  [0x064, { name: 'CKR_KEY_NOT_NEEDED', class: 'request' }],
  [0x065, { name: 'CKR_KEY_CHANGED', class: 'request' }],
  [0x066, { name: 'CKR_KEY_NEEDED', class: 'request' }],
  [0x067, { name: 'CKR_KEY_INDIGESTIBLE', class: 'request' }],
  [0x068, { name: 'CKR_KEY_FUNCTION_NOT_PERMITTED', class: 'request' }],
  [0x069, { name: 'CKR_KEY_NOT_WRAPPABLE', class: 'request' }],
  [0x06a, { name: 'CKR_KEY_UNEXTRACTABLE', class: 'request' }],
  [0x070, { name: 'CKR_MECHANISM_INVALID', class: 'request' }],
  [0x071, { name: 'CKR_MECHANISM_PARAM_INVALID', class: 'request' }],
  [0x082, { name: 'CKR_OBJECT_HANDLE_INVALID', class: 'session' }],
  [0x090, { name: 'CKR_OPERATION_ACTIVE', class: 'session' }],
  [0x091, { name: 'CKR_OPERATION_NOT_INITIALIZED', class: 'session' }],
  [0x0a0, { name: 'CKR_PIN_INCORRECT', class: 'pin' }],
  [0x0a1, { name: 'CKR_PIN_INVALID', class: 'pin' }],
  [0x0a2, { name: 'CKR_PIN_LEN_RANGE', class: 'pin' }],
  [0x0a3, { name: 'CKR_PIN_EXPIRED', class: 'pin' }],
  [0x0a4, { name: 'CKR_PIN_LOCKED', class: 'pin' }],
  [0x0b0, { name: 'CKR_SESSION_CLOSED', class: 'session' }],
  [0x0b1, { name: 'CKR_SESSION_COUNT', class: 'back-pressure' }],
  [0x0b3, { name: 'CKR_SESSION_HANDLE_INVALID', class: 'session' }],
  [0x0b4, { name: 'CKR_SESSION_PARALLEL_NOT_SUPPORTED', class: 'request' }],
  [0x0b5, { name: 'CKR_SESSION_READ_ONLY', class: 'request' }],
  [0x0b6, { name: 'CKR_SESSION_EXISTS', class: 'request' }],
  [0x0b7, { name: 'CKR_SESSION_READ_ONLY_EXISTS', class: 'request' }],
  [0x0b8, { name: 'CKR_SESSION_READ_WRITE_SO_EXISTS', class: 'request' }],
  [0x0c0, { name: 'CKR_SIGNATURE_INVALID', class: 'request' }],
  [0x0c1, { name: 'CKR_SIGNATURE_LEN_RANGE', class: 'request' }],
  [0x0d0, { name: 'CKR_TEMPLATE_INCOMPLETE', class: 'request' }],
  [0x0d1, { name: 'CKR_TEMPLATE_INCONSISTENT', class: 'request' }],
  [0x0e0, { name: 'CKR_TOKEN_NOT_PRESENT', class: 'device', gone }],
  [0x0e1, { name: 'CKR_TOKEN_NOT_RECOGNIZED', class: 'device', gone }],
  [0x0e2, { name: 'CKR_TOKEN_WRITE_PROTECTED', class: 'request' }],
  [0x0f0, { name: 'CKR_UNWRAPPING_KEY_HANDLE_INVALID', class: 'master-key-missing' }],
  [0x0f1, { name: 'CKR_UNWRAPPING_KEY_SIZE_RANGE', class: 'request' }],
  [0x0f2, { name: 'CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT', class: 'request' }],
  [0x100, { name: 'CKR_USER_ALREADY_LOGGED_IN', class: 'request' }],
  [0x101, { name: 'CKR_USER_NOT_LOGGED_IN', class: 'session' }],
  [0x102, { name: 'CKR_USER_PIN_NOT_INITIALIZED', class: 'pin' }],
  [0x103, { name: 'CKR_USER_TYPE_INVALID', class: 'request' }],
  [0x104, { name: 'CKR_USER_ANOTHER_ALREADY_LOGGED_IN', class: 'session' }],
  [0x105, { name: 'CKR_USER_TOO_MANY_TYPES', class: 'session' }],
  [0x110, { name: 'CKR_WRAPPED_KEY_INVALID', class: 'request' }],
  [0x112, { name: 'CKR_WRAPPED_KEY_LEN_RANGE', class: 'request' }],
  // SoftHSM answers it to C_WrapKey when the token was taken away, as 0xF0 to C_UnwrapKey.
  [0x113, { name: 'CKR_WRAPPING_KEY_HANDLE_INVALID', class: 'master-key-missing' }],
  [0x114, { name: 'CKR_WRAPPING_KEY_SIZE_RANGE', class: 'request' }],
  [0x115, { name: 'CKR_WRAPPING_KEY_TYPE_INCONSISTENT', class: 'request' }],
  [0x120, { name: 'CKR_RANDOM_SEED_NOT_SUPPORTED', class: 'request' }],
  [0x121, { name: 'CKR_RANDOM_NO_RNG', class: 'device' }],
  [0x130, { name: 'CKR_DOMAIN_PARAMS_INVALID', class: 'request' }],
  [0x140, { name: 'CKR_CURVE_NOT_SUPPORTED', class: 'request' }],
  // The operation stays active after it: only a new session is clean.
  [0x150, { name: 'CKR_BUFFER_TOO_SMALL', class: 'session' }],
  [0x160, { name: 'CKR_SAVED_STATE_INVALID', class: 'request' }],
  [0x170, { name: 'CKR_INFORMATION_SENSITIVE', class: 'request' }],
  [0x180, { name: 'CKR_STATE_UNSAVEABLE', class: 'request' }],
  [0x190, { name: 'CKR_CRYPTOKI_NOT_INITIALIZED', class: 'device', gone }],
  [0x191, { name: 'CKR_CRYPTOKI_ALREADY_INITIALIZED', class: 'request' }],
  [0x1a0, { name: 'CKR_MUTEX_BAD', class: 'device', gone }],
  [0x1a1, { name: 'CKR_MUTEX_NOT_LOCKED', class: 'device', gone }],
  [0x1b0, { name: 'CKR_NEW_PIN_MODE', class: 'pin' }],
  [0x1b1, { name: 'CKR_NEXT_OTP', class: 'pin' }],
  [0x1b5, { name: 'CKR_EXCEEDED_MAX_ITERATIONS', class: 'request' }],
  [0x1b6, { name: 'CKR_FIPS_SELF_TEST_FAILED', class: 'device', gone }],
  [0x1b7, { name: 'CKR_LIBRARY_LOAD_FAILED', class: 'device', gone }],
  [0x1b8, { name: 'CKR_PIN_TOO_WEAK', class: 'pin' }],
  [0x1b9, { name: 'CKR_PUBLIC_KEY_INVALID', class: 'request' }],
  [0x200, { name: 'CKR_FUNCTION_REJECTED', class: 'request' }],
  [0x201, { name: 'CKR_TOKEN_RESOURCE_EXCEEDED', class: 'back-pressure' }],
  [0x202, { name: 'CKR_OPERATION_CANCEL_FAILED', class: 'session' }],
  [0x203, { name: 'CKR_KEY_EXHAUSTED', class: 'request' }],
]);

/** Codes that the program itself compares with. */
export const CKR = {
  GENERAL_ERROR: 0x005,
  ARGUMENTS_BAD: 0x007,
  WRAPPED_KEY_INVALID: 0x110,
  CRYPTOKI_NOT_INITIALIZED: 0x190,
  CRYPTOKI_ALREADY_INITIALIZED: 0x191,
  USER_ALREADY_LOGGED_IN: 0x100,
} as const;

/**
 * The entry of a code. Unknown and vendor codes count as a device fault. C_OpenSession answers CKR_ARGUMENTS_BAD on some
 * network HSMs when they have no session left.
 * @param code unsigned 32 bits.
 */
export function ckr(code: number, pkcs11Function = ''): CkrEntry {
  if (code === CKR.ARGUMENTS_BAD && pkcs11Function === 'C_OpenSession') {
    return { name: 'CKR_ARGUMENTS_BAD', class: 'back-pressure' };
  }
  return ckrTable.get(code) ?? { name: `CKR_0x${code.toString(16).toUpperCase()}`, class: 'device' };
}
