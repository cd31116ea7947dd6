import t from 'tap';
import { ckr, ckrClasses, ckrTable } from '../src/worker/hsm/ckr.ts';
import { failureOf } from '../src/worker/hsm/failure.ts';
import { asFault, Pkcs11Fault } from '../src/worker/hsm/fault.ts';

/** Every return value of pkcs11t.h, PKCS#11 3.1, but CKR_OK and CKR_VENDOR_DEFINED. */
const standard = `
  001 CANCEL, 002 HOST_MEMORY, 003 SLOT_ID_INVALID, 005 GENERAL_ERROR, 006 FUNCTION_FAILED, 007 ARGUMENTS_BAD, 008 NO_EVENT,
  009 NEED_TO_CREATE_THREADS, 00a CANT_LOCK, 010 ATTRIBUTE_READ_ONLY, 011 ATTRIBUTE_SENSITIVE, 012 ATTRIBUTE_TYPE_INVALID,
  013 ATTRIBUTE_VALUE_INVALID, 01b ACTION_PROHIBITED, 020 DATA_INVALID, 021 DATA_LEN_RANGE, 030 DEVICE_ERROR, 031 DEVICE_MEMORY,
  032 DEVICE_REMOVED, 040 ENCRYPTED_DATA_INVALID, 041 ENCRYPTED_DATA_LEN_RANGE, 042 AEAD_DECRYPT_FAILED, 050 FUNCTION_CANCELED,
  051 FUNCTION_NOT_PARALLEL, 054 FUNCTION_NOT_SUPPORTED, 060 KEY_HANDLE_INVALID, 062 KEY_SIZE_RANGE, 063 KEY_TYPE_INCONSISTENT,
  064 KEY_NOT_NEEDED, 065 KEY_CHANGED, 066 KEY_NEEDED, 067 KEY_INDIGESTIBLE, 068 KEY_FUNCTION_NOT_PERMITTED, 069 KEY_NOT_WRAPPABLE,
  06a KEY_UNEXTRACTABLE, 070 MECHANISM_INVALID, 071 MECHANISM_PARAM_INVALID, 082 OBJECT_HANDLE_INVALID, 090 OPERATION_ACTIVE,
  091 OPERATION_NOT_INITIALIZED, 0a0 PIN_INCORRECT, 0a1 PIN_INVALID, 0a2 PIN_LEN_RANGE, 0a3 PIN_EXPIRED, 0a4 PIN_LOCKED,
  0b0 SESSION_CLOSED, 0b1 SESSION_COUNT, 0b3 SESSION_HANDLE_INVALID, 0b4 SESSION_PARALLEL_NOT_SUPPORTED, 0b5 SESSION_READ_ONLY,
  0b6 SESSION_EXISTS, 0b7 SESSION_READ_ONLY_EXISTS, 0b8 SESSION_READ_WRITE_SO_EXISTS, 0c0 SIGNATURE_INVALID,
  0c1 SIGNATURE_LEN_RANGE, 0d0 TEMPLATE_INCOMPLETE, 0d1 TEMPLATE_INCONSISTENT, 0e0 TOKEN_NOT_PRESENT, 0e1 TOKEN_NOT_RECOGNIZED,
  0e2 TOKEN_WRITE_PROTECTED, 0f0 UNWRAPPING_KEY_HANDLE_INVALID, 0f1 UNWRAPPING_KEY_SIZE_RANGE, 0f2 UNWRAPPING_KEY_TYPE_INCONSISTENT,
  100 USER_ALREADY_LOGGED_IN, 101 USER_NOT_LOGGED_IN, 102 USER_PIN_NOT_INITIALIZED, 103 USER_TYPE_INVALID,
  104 USER_ANOTHER_ALREADY_LOGGED_IN, 105 USER_TOO_MANY_TYPES, 110 WRAPPED_KEY_INVALID, 112 WRAPPED_KEY_LEN_RANGE,
  113 WRAPPING_KEY_HANDLE_INVALID, 114 WRAPPING_KEY_SIZE_RANGE, 115 WRAPPING_KEY_TYPE_INCONSISTENT, 120 RANDOM_SEED_NOT_SUPPORTED,
  121 RANDOM_NO_RNG, 130 DOMAIN_PARAMS_INVALID, 140 CURVE_NOT_SUPPORTED, 150 BUFFER_TOO_SMALL, 160 SAVED_STATE_INVALID,
  170 INFORMATION_SENSITIVE, 180 STATE_UNSAVEABLE, 190 CRYPTOKI_NOT_INITIALIZED, 191 CRYPTOKI_ALREADY_INITIALIZED, 1a0 MUTEX_BAD,
  1a1 MUTEX_NOT_LOCKED, 1b0 NEW_PIN_MODE, 1b1 NEXT_OTP, 1b5 EXCEEDED_MAX_ITERATIONS, 1b6 FIPS_SELF_TEST_FAILED,
  1b7 LIBRARY_LOAD_FAILED, 1b8 PIN_TOO_WEAK, 1b9 PUBLIC_KEY_INVALID, 200 FUNCTION_REJECTED, 201 TOKEN_RESOURCE_EXCEEDED,
  202 OPERATION_CANCEL_FAILED, 203 KEY_EXHAUSTED`;

t.test('the table of return values is complete, and says one class for each', async (t) => {
  const expected = standard.split(',').map((entry) => {
    const [number = '', name = ''] = entry.trim().split(' ');
    return [Number.parseInt(number, 16), `CKR_${name}`] as const;
  });
  t.same(
    [...ckrTable].map(([code, { name }]) => [code, name]),
    expected,
  );
  for (const { name, class: ckrClass } of ckrTable.values()) t.ok(ckrClasses.includes(ckrClass), name);
});

t.test('the codes that decide about a PIN, a session, room and a master key are in their classes', async (t) => {
  const classes = (...codes: number[]): string[] => [...new Set(codes.map((code) => ckr(code).class))];
  t.same(classes(0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x102), ['pin']);
  t.same(classes(0xb0, 0xb3, 0x101, 0x82, 0x60), ['session']);
  t.same(classes(0xb1, 0x02, 0x31), ['back-pressure']);
  t.same(classes(0xf0, 0x113), ['master-key-missing']);
  t.same(classes(0x20, 0x21, 0x63, 0x68, 0x70, 0x71, 0x110, 0x112, 0x114, 0x115), ['request']);
  t.same(classes(0x05, 0x06, 0x30, 0x32, 0xe0, 0x190), ['device']);
  t.same(
    [0x05, 0x06, 0x30].map((code) => ckr(code).ambiguous),
    [true, true, true],
  );
});

t.test('unknown and vendor codes count as the device’s', async (t) => {
  t.same(ckr(0x80000123), { name: 'CKR_0x80000123', class: 'device' });
  t.same(ckr(0xde436972), { name: 'CKR_0xDE436972', class: 'device' });
  t.equal(ckr(0x07).class, 'request');
  t.equal(ckr(0x07, 'C_OpenSession').class, 'back-pressure', 'some network HSMs have no session left then');
});

t.test('whatever the binding throws becomes one kind of fault', async (t) => {
  const cases: readonly [unknown, number, string][] = [
    [Object.assign(new Error('CKR_PIN_INCORRECT'), { code: 160 }), 0xa0, 'CKR_PIN_INCORRECT'],
    [new Error('CKR_ATTRIBUTE_READ_ONLY:16'), 0x10, 'CKR_ATTRIBUTE_READ_ONLY'],
    [Object.assign(new Error('CKR_VENDOR_DEFINED'), { code: 0x140 }), 0x140, 'CKR_CURVE_NOT_SUPPORTED'],
    [new Error('CKR_VENDOR_DEFINED:2147483939'), 0x80000123, 'CKR_0x80000123'],
    [Object.assign(new Error('PKCS11 module not loaded yet'), { code: 0 }), 0x190, 'CKR_CRYPTOKI_NOT_INITIALIZED'],
    [new TypeError('Argument 0 has wrong type'), 0x07, 'CKR_ARGUMENTS_BAD'],
    [new Error('something else'), 0x05, 'CKR_GENERAL_ERROR'],
    ['not even an error', 0x05, 'CKR_GENERAL_ERROR'],
  ];
  for (const [thrown, code, name] of cases) {
    const fault = asFault('C_Anything', thrown);
    t.match(fault, { code, pkcs11Function: 'C_Anything', ckr: { name } }, name);
    t.equal(fault.cause, thrown);
  }
});

t.test('what a fault says about the device follows from its class', async (t) => {
  const verdict = (code: number): unknown => {
    const { code: ours, device, retryable } = failureOf(new Pkcs11Fault('C_Sign', code));
    return [ours, device, retryable];
  };
  t.same(verdict(0x21), ['HSM_REQUEST_REFUSED', 'healthy', false]);
  t.same(verdict(0xb1), ['HSM_BACK_PRESSURE', 'healthy', true]);
  t.same(verdict(0xb3), ['HSM_DEVICE_FAULT', 'suspect', true]);
  t.same(verdict(0x05), ['HSM_DEVICE_FAULT', 'suspect', true]);
  t.same(verdict(0x80000001), ['HSM_DEVICE_FAULT', 'suspect', true]);
  t.same(verdict(0x32), ['HSM_DEVICE_FAULT', 'lost', true]);
  t.same(verdict(0xe0), ['HSM_DEVICE_FAULT', 'lost', true]);
  t.same(verdict(0xa0), ['PIN_REFUSED', 'lost', true]);
  t.same(verdict(0xf0), ['MASTER_KEY_MISSING', 'lost', true]);
  t.match(failureOf(new Error('a defect')), { code: 'INTERNAL', device: 'suspect' });
});
