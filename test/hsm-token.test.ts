import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { CeremonyFile } from '../src/shared/ceremony-file.ts';
import type { SlotConfiguration } from '../src/shared/configuration/sections.ts';
import { CodedError } from '../src/shared/errors.ts';
import { CKF } from '../src/worker/hsm/constants.ts';
import { Pkcs11Fault } from '../src/worker/hsm/fault.ts';
import {
  admitLogin,
  createLoginGuard,
  guardedLogin,
  type LoginResult,
  loginOutcome,
} from '../src/worker/hsm/login-guard.ts';
import type { Cryptoki, TokenInfo } from '../src/worker/hsm/module.ts';
import { login, selectToken } from '../src/worker/hsm/token.ts';
import { open } from './support/open-hsm.ts';
import { addToken, createKeyStore, soPin, temporaryDirectory } from './support/soft-token.ts';

/** What is wrong with a slot is said before anything is tried that could harm the token. */
const store = await createKeyStore(t);
const [slot] = store.slots;

async function refusal(changed: Partial<SlotConfiguration>, ceremony: Partial<CeremonyFile> = {}): Promise<CodedError> {
  try {
    const hsm = await open({ ceremony: { ...store.ceremony, ...ceremony } }, { ...slot, ...changed });
    await hsm.stop();
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error('the slot opened');
}

t.test('a label that no token has is refused, and the labels that there are are named', async (t) => {
  const { code, detail } = await refusal({ tokenLabel: 'nowhere' });
  t.equal(code, 'TOKEN_NOT_FOUND');
  t.match(detail, /“nowhere”; initialised tokens: “token a” \([0-9a-f]{16}\)/);
});

t.test('a serial number that the labelled token does not have is refused', async (t) => {
  t.match(await refusal({ tokenSerial: '0000000000000000' }), {
    code: 'TOKEN_NOT_FOUND',
    detail: /serial 0000000000000000/,
  });
});

t.test('two tokens with one label are refused, and the serial number tells them apart', async (t) => {
  const own = await createKeyStore(t);
  const [first] = own.slots;
  // The initialisation refuses a label that is taken, SoftHSM does not: made under another label, then renamed.
  const { serial } = await addToken(first, 'to be renamed');
  renameToken(first, 'to be renamed', first.tokenLabel);
  const first16 = own.ceremony.tokens.find(({ slot }) => slot === first.name)?.serial ?? '';
  const refusedAsAmbiguous = await open(own, first).catch((error: unknown) => error);
  t.match(refusedAsAmbiguous, { code: 'TOKEN_AMBIGUOUS', detail: new RegExp(`${first16}`) });
  t.match(refusedAsAmbiguous, { detail: new RegExp(serial) });
  const hsm = await open(own, { ...first, tokenSerial: first16 });
  t.equal(hsm.token.serial, first16);
  await hsm.stop();
});

t.test('a module that is not there, or is no module, is refused by name', async (t) => {
  const directory = temporaryDirectory(t);
  const text = join(directory, 'text.so');
  writeFileSync(text, 'not a library, but long enough to have a header');
  const foreign = join(directory, 'foreign.so');
  const header = Buffer.alloc(64);
  header.writeUInt32BE(0x7f454c46);
  header.writeUInt16LE(process.arch === 'x64' ? 183 : 62, 18);
  writeFileSync(foreign, header);
  mkdirSync(join(directory, 'folder.so'));
  const cases: (readonly [string, RegExp])[] = [
    [join(directory, 'missing.so'), /missing\.so \(ENOENT\)/],
    [join(directory, 'folder.so'), /folder\.so is not a file/],
    ...(process.platform === 'linux'
      ? ([
          [text, /text\.so is not a shared library/],
          [foreign, /foreign\.so is built for (x64|arm64), this process runs on/],
        ] as const)
      : []),
  ];
  for (const [module, detail] of cases) t.match(await refusal({ module }), { code: 'MODULE_NOT_LOADED', detail });
});

t.test('a library that is no PKCS#11 module is refused with the loader’s reason', async (t) => {
  const addon = join(import.meta.dirname, '../node_modules/pkcs11js/build/Release/pkcs11.node');
  t.match(await refusal({ module: addon }), { code: 'MODULE_NOT_LOADED', detail: /C_GetFunctionList/ });
});

t.test('a PIN file that others can read is refused before the module is loaded', async (t) => {
  const pinFile = join(temporaryDirectory(t), 'pin');
  writeFileSync(pinFile, '1234', { mode: 0o644 });
  t.match(await refusal({ pinFile, module: '/nowhere' }), { code: 'SECRET_FILE_UNSAFE' });
});

t.test('a wrong PIN is refused, and only one attempt is made however many sessions there are', async (t) => {
  const own = await createKeyStore(t);
  const pinFile = join(own.directory, 'wrong-pin');
  writeFileSync(pinFile, soPin, { mode: 0o600 });
  const error = await open(own, { ...own.slots[0], pinFile, sessions: 4 }).catch((thrown: unknown) => thrown);
  t.match(error, { code: 'PIN_REFUSED', detail: /“token a” \([0-9a-f]{16}\): C_Login answered CKR_PIN_INCORRECT/ });
  t.notMatch((error as Error).message, new RegExp(soPin), 'the PIN is in no message');
  const hsm = await open(own, own.slots[0]);
  t.ok(hsm.capabilities.length > 0, 'the right PIN opens the slot after that');
  await hsm.stop();
});

/** A guard through which one PIN may pass, and how often it did. */
function guarded(answer: () => LoginResult) {
  const guard = createLoginGuard();
  admitLogin(guard, Buffer.from('right'));
  const calls = { attempts: 0 };
  const tryPin = (pin = 'right'): LoginResult =>
    guardedLogin(guard, Buffer.from(pin), () => {
      calls.attempts += 1;
      return answer();
    });
  return { guard, calls, tryPin };
}

t.test('after one refusal no thread of the process tries a PIN again', async (t) => {
  const { guard, calls, tryPin } = guarded(() => {
    throw new CodedError('PIN_REFUSED', 'wrong');
  });
  for (let index = 0; index < 5; index += 1) t.throws(() => tryPin(), { code: 'PIN_REFUSED' });
  t.equal(calls.attempts, 1);
  t.equal(loginOutcome(guard), 'refused');
});

t.test('a login that failed for another reason may be tried again, and is no proof of anything', async (t) => {
  let broken = true;
  const { guard, tryPin } = guarded(() => {
    if (broken) throw new Pkcs11Fault('C_Login', 0x30);
    return { countLow: false, already: false };
  });
  t.throws(() => tryPin(), { code: 0x30 });
  t.equal(loginOutcome(guard), 'uncertain');
  broken = false;
  t.same(tryPin(), { countLow: false, already: false });
  t.equal(loginOutcome(guard), 'succeeded');
});

t.test('a PIN file that was replaced while the process runs is not tried by it', async (t) => {
  const { calls, tryPin } = guarded(() => ({ countLow: false, already: false }));
  tryPin();
  t.throws(() => tryPin('other'), { code: 'HSM_DEVICE_FAULT', detail: /a new process must prove the new PIN/ });
  t.equal(calls.attempts, 1);
  t.throws(() => guardedLogin(createLoginGuard(), Buffer.from('right'), () => ({ countLow: false, already: false })), {
    code: 'HSM_DEVICE_FAULT',
  });
});

t.test('being logged in already proves nothing: the PIN counts as untried, and is not sent again', async (t) => {
  const { guard, calls, tryPin } = guarded(() => ({ countLow: false, already: true }));
  tryPin();
  tryPin();
  t.equal(loginOutcome(guard), 'already logged in');
  t.equal(calls.attempts, 1);
});

/** A token as its CK_TOKEN_INFO describes it; C_Login is counted. */
function tokenWith(flags: number, loginFault?: number) {
  const info: TokenInfo = { label: 'vault', serial: '7', manufacturer: 'm', model: 'm', firmware: '1.0', flags };
  const calls = { login: 0 };
  const cryptoki = {
    tokenInfo: () => info,
    slots: () => [Buffer.alloc(8)],
    login: () => {
      calls.login += 1;
      if (loginFault !== undefined) throw new Pkcs11Fault('C_Login', loginFault);
    },
  } as Partial<Cryptoki> as Cryptoki;
  return { cryptoki, calls, token: { slot: Buffer.alloc(8), info } };
}

t.test('no PIN is tried on a token that is locked or would lock at the next wrong one', async (t) => {
  for (const flag of [CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_LOCKED]) {
    const { cryptoki, calls, token } = tokenWith(CKF.TOKEN_INITIALIZED | flag);
    t.throws(() => login(cryptoki, Buffer.alloc(8), token, Buffer.from('1')), {
      code: 'PIN_NOT_TRIED',
      detail: /is locked|would lock/,
    });
    t.equal(calls.login, 0);
  }
  const { cryptoki, calls, token } = tokenWith(CKF.TOKEN_INITIALIZED | CKF.USER_PIN_COUNT_LOW);
  t.same(login(cryptoki, Buffer.alloc(8), token, Buffer.from('1')), { countLow: true, already: false });
  t.equal(calls.login, 1, 'a low counter alone only warns');
});

t.test(
  'every PIN code is a refusal, being logged in already is not, and the PIN is cleared in each case',
  async (t) => {
    for (const code of [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x102]) {
      const pin = Buffer.from('123456');
      const { cryptoki, calls, token } = tokenWith(CKF.TOKEN_INITIALIZED, code);
      t.throws(() => login(cryptoki, Buffer.alloc(8), token, pin), { code: 'PIN_REFUSED' });
      t.equal(calls.login, 1);
      t.same(pin, Buffer.alloc(6));
    }
    const { cryptoki, token } = tokenWith(CKF.TOKEN_INITIALIZED, 0x100);
    t.same(login(cryptoki, Buffer.alloc(8), token, Buffer.from('1')), { countLow: false, already: true });
  },
);

t.test('a token whose label is missing for a moment (SoftHSM while another process logs in) is found', async (t) => {
  const { cryptoki } = tokenWith(CKF.TOKEN_INITIALIZED);
  const right = cryptoki.tokenInfo(Buffer.alloc(8));
  let looks = 0;
  const racing = {
    ...cryptoki,
    tokenInfo: () => {
      looks += 1;
      if (looks === 1) throw new Pkcs11Fault('C_GetTokenInfo', 0x05);
      return looks === 2 ? { ...right, label: '' } : right;
    },
  };
  t.equal(selectToken(racing, { label: 'vault' }).info.label, 'vault');
  t.equal(looks, 3);
});

t.test(
  'a slot list that changes its order, as when an HSM is plugged in, changes nothing about which token is meant',
  async (t) => {
    const { cryptoki } = tokenWith(CKF.TOKEN_INITIALIZED);
    const right = cryptoki.tokenInfo(Buffer.alloc(8));
    const labels = ['other', 'vault', 'spare'];
    const slots = labels.map((_, at) => Buffer.from([at, 0, 0, 0, 0, 0, 0, 0]));
    for (const order of [slots, slots.toReversed(), slots.slice(1), [...slots.slice(2), ...slots.slice(0, 2)]]) {
      const listed = {
        ...cryptoki,
        slots: () => order,
        tokenInfo: (of: Buffer) => ({
          ...right,
          label: labels[of.readUInt8()] ?? '',
          serial: `serial ${of.readUInt8()}`,
        }),
      };
      const { slot, info } = selectToken(listed, { label: 'vault' });
      t.match(info, { label: 'vault', serial: 'serial 1' });
      t.same(slot, slots[1], 'and calls go to where it is now');
    }
  },
);

t.test('an uninitialised token is never chosen, whatever its label', async (t) => {
  const { cryptoki } = tokenWith(0);
  t.throws(() => selectToken(cryptoki, { label: 'vault' }), {
    code: 'TOKEN_NOT_FOUND',
    detail: /initialised tokens: none/,
  });
});

/** SoftHSM keeps a token's label in its token.object file, padded to 32 bytes. */
function renameToken({ environment }: SlotConfiguration, from: string, to: string): void {
  const tokens = join(environment.SOFTHSM2_CONF ?? '', '../tokens');
  for (const folder of readdirSync(tokens)) {
    const file = join(tokens, folder, 'token.object');
    const bytes = readFileSync(file);
    const at = bytes.indexOf(from.padEnd(32));
    if (at === -1) continue;
    bytes.write(to.padEnd(32), at);
    writeFileSync(file, bytes);
  }
}
