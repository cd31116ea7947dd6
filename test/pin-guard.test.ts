import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createPool } from '../src/shared/database/pool.ts';
import { CodedError } from '../src/shared/errors.ts';
import { createLog } from '../src/shared/log.ts';
import { createDriverDatabase, DatabaseLost, type DriverDatabase } from '../src/worker/database.ts';
import type { LoginOutcome } from '../src/worker/hsm/login-guard.ts';
import type { TokenInfo } from '../src/worker/hsm/module.ts';
import { clearAttempts, readRefusals } from '../src/worker/pin-guard/clear-attempts.ts';
import { localGuard } from '../src/worker/pin-guard/local-guard.ts';
import { openLocalResults } from '../src/worker/pin-guard/local-results.ts';
import { inLoginTurn } from '../src/worker/pin-guard/login-turn.ts';
import { createPinGuard, type PinGuard } from '../src/worker/pin-guard/pin-guard.ts';
import { openTestDatabases } from './support/database.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** The cluster's record of PINs over a real database; logins are played by the test, which counts them. */
const databases = await openTestDatabases(t);

interface Process {
  readonly guard: PinGuard;
  readonly stateDirectory: string;
  /** What it had not told the database by now it never tells. */
  readonly die: () => void;
}

/** One worker process of some node, as far as its PIN guard goes. */
function startProcess(
  t: Test,
  {
    node = 'node-1',
    stateDirectory = temporaryDirectory(t),
    pinGuardGroup = undefined as string | undefined,
    beforeClaim = async (): Promise<void> => {},
  } = {},
): Process {
  const log = createLog('silent', {});
  const pool = createPool(databases.driver, { applicationName: node, max: 2, durability: 'durable' }, log);
  const database = createDriverDatabase(pool, databases.driver, log);
  t.teardown(async () => {
    database.stop();
    await pool.end();
  });
  const local = openLocalResults(stateDirectory);
  const slot = { name: 'a', pinGuardGroup };
  let dead = false;
  const asked: DriverDatabase = {
    ...database,
    get answers() {
      return database.answers;
    },
    async query(statement, values) {
      if (statement.name === 'worker_pin_claim') await beforeClaim();
      if (dead) throw new DatabaseLost('its process is dead');
      return await database.query(statement, values);
    },
  };
  return {
    guard: createPinGuard({ database: asked, local, slot, node, instance: randomUUID(), log }),
    stateDirectory,
    die() {
      dead = true;
      database.stop();
    },
  };
}

function token(flags = 0x400, serial = randomUUID().slice(0, 16)): TokenInfo {
  return { label: 'vault', serial, manufacturer: 'm', model: 'm', firmware: '1.0', flags };
}

const countLow = 0x400 | 0x1_0000;

/** What C_Login would do, and how often it was called. */
function device(right = '1234') {
  const calls = { logins: 0 };
  return {
    calls,
    async open(
      { guard }: { readonly guard: Pick<PinGuard, 'firstLogin'> },
      info: TokenInfo,
      pin: string,
      answer?: LoginOutcome,
    ): Promise<void> {
      let outcome: LoginOutcome = 'none';
      await guard.firstLogin(
        info,
        Buffer.from(pin),
        async () => {
          calls.logins += 1;
          outcome = answer ?? (pin === right ? 'succeeded' : 'refused');
          if (outcome === 'refused') throw new CodedError('PIN_REFUSED', 'C_Login answered CKR_PIN_INCORRECT');
          if (outcome === 'uncertain') throw new CodedError('HSM_DEVICE_FAULT', 'C_Login answered CKR_DEVICE_ERROR');
        },
        () => outcome,
      );
    },
  };
}

async function states(serial: string): Promise<string[]> {
  const pool = createPool(
    databases.driver,
    { applicationName: 'test', max: 1, durability: 'durable' },
    createLog('silent', {}),
  );
  try {
    const { rows } = await pool.query('select state from pin_attempt where token_serial = $1', [serial]);
    return rows.map((row) => row.state);
  } finally {
    await pool.end();
  }
}

t.test('a PIN that succeeded once opens the token for any number of processes, one first', async (t) => {
  const info = token();
  const { open, calls } = device();
  const processes = Array.from({ length: 5 }, (_, index) => startProcess(t, { node: `node-${index}` }));
  await Promise.all(processes.map((process) => open(process, info, '1234')));
  t.equal(calls.logins, 5);
  t.same(await states(info.serial), ['succeeded']);
});

t.test('a wrong PIN is tried once in the whole cluster, however many processes start at once', async (t) => {
  const info = token();
  const { open, calls } = device();
  const processes = Array.from({ length: 6 }, (_, index) => startProcess(t, { node: `node-${index}` }));
  const results = await Promise.allSettled(processes.map((process) => open(process, info, 'wrong')));
  t.ok(results.every((one) => one.status === 'rejected' && one.reason.code === 'PIN_REFUSED'));
  t.equal(calls.logins, 1);
  await t.rejects(open(startProcess(t, { node: 'node-9' }), info, 'wrong'), {
    code: 'PIN_REFUSED',
    message: /node node-\d, slot a, .*CKR_PIN_INCORRECT.*hsm-driver pin clear/,
  });
  t.equal(calls.logins, 1);
});

t.test('another PIN is another version: it is tried, though the counter is low after the refused one', async (t) => {
  const { serial } = token();
  const { open, calls } = device();
  const process = startProcess(t);
  await t.rejects(open(process, token(0x400, serial), 'wrong'), { code: 'PIN_REFUSED' });
  await open(process, token(countLow, serial), '1234');
  t.equal(calls.logins, 2);
});

t.test('a low counter that nobody here accounts for stops a PIN that never succeeded, and no other', async (t) => {
  const { serial } = token();
  const { open, calls } = device();
  await t.rejects(open(startProcess(t), token(countLow, serial), '1234'), { code: 'PIN_NOT_TRIED' });
  t.equal(calls.logins, 0);
  await open(startProcess(t), token(0x400, serial), '1234');
  await open(startProcess(t), token(countLow, serial), '1234');
  t.equal(calls.logins, 2);
});

t.test('the last try and a locked token stop every PIN, and nothing is written down', async (t) => {
  const { serial } = token();
  const { open, calls } = device();
  await open(startProcess(t), token(0x400, serial), '1234');
  for (const flag of [0x2_0000, 0x4_0000]) {
    await t.rejects(open(startProcess(t), token(0x400 | flag, serial), '1234'), { code: 'PIN_NOT_TRIED' });
  }
  t.equal(calls.logins, 1);
  t.same(await states(serial), ['succeeded']);
});

t.test('a process that dies while it tries has failed; the others wait until that is known', async (t) => {
  const info = token();
  const { open, calls } = device();
  const dying = startProcess(t, { node: 'node-1' });
  const hung = Promise.withResolvers<void>();
  t.teardown(() => hung.resolve());
  const inside = Promise.withResolvers<void>();
  const login = (): Promise<void> => {
    inside.resolve();
    return hung.promise;
  };
  void dying.guard.firstLogin(info, Buffer.from('1234'), login, () => 'none').catch(() => {});
  await inside.promise;
  let other: unknown;
  const waiting = open(startProcess(t, { node: 'node-2' }), info, '1234').catch((error) => {
    other = error;
  });
  t.same(await states(info.serial), ['trying']);
  t.equal(other, undefined);
  // Its signs of life end: what the database sees of a killed process.
  dying.die();
  await age(info.serial);
  await waiting;
  t.match(other, { code: 'PIN_REFUSED', message: /died while trying/ });
  // Whoever asks next writes it down, where that one saw it between two looks.
  await t.rejects(open(startProcess(t, { node: 'node-3' }), info, '1234'), { code: 'PIN_REFUSED' });
  t.equal(calls.logins, 0);
  t.same(await states(info.serial), ['refused']);
});

t.test('a process that ends waits for its login, and begins none any more', async (t) => {
  const info = token();
  const { open, calls } = device();
  const [first, second] = [startProcess(t), startProcess(t, { node: 'node-2' })];
  const entered = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  t.teardown(() => leave.resolve());
  let outcome: LoginOutcome = 'none';
  const login = async (): Promise<void> => {
    entered.resolve();
    await leave.promise;
    outcome = 'succeeded';
  };
  const logsIn = first.guard.firstLogin(info, Buffer.from('1234'), login, () => outcome);
  await entered.promise;
  let released = false;
  const ends = first.guard.stop().then(() => {
    released = true;
  });
  // Held from the beginning: it may be refused before the first one has ended.
  const refused = t.rejects(open(second, info, '1234'), /no login is begun/);
  // It has claimed nothing: there is nothing to wait for.
  await second.guard.stop();
  t.equal(released, false);
  leave.resolve();
  await ends;
  t.same(await states(info.serial), ['succeeded']);
  await logsIn;
  await refused;
  t.equal(calls.logins, 0);
});

t.test('a process that ends before its login gives its claim back', async (t) => {
  const info = token();
  const { open, calls } = device();
  let ends: Promise<void> | undefined;
  const process: Process = startProcess(t, {
    beforeClaim: async () => {
      ends = process.guard.stop();
    },
  });
  await t.rejects(open(process, info, '1234'), /no login is begun/);
  await ends;
  t.same(await states(info.serial), []);
  t.equal(calls.logins, 0);
});

t.test('devices that share a counter share refusals; a success counts for its own token only', async (t) => {
  const pinGuardGroup = `group-${randomUUID()}`;
  const { open, calls } = device();
  const [one, two] = [token(), token()];
  await open(startProcess(t, { pinGuardGroup }), one, '1234');
  await t.rejects(open(startProcess(t, { pinGuardGroup }), one, 'wrong'), { code: 'PIN_REFUSED' });
  await t.rejects(open(startProcess(t, { pinGuardGroup }), two, 'wrong'), { code: 'PIN_REFUSED' });
  t.equal(calls.logins, 2);
  await open(startProcess(t, { pinGuardGroup }), two, '1234');
  t.same(await states(two.serial), ['succeeded']);
});

t.test('a refusal is remembered by the node when the database has forgotten it', async (t) => {
  const info = token();
  const { open, calls } = device();
  const first = startProcess(t);
  const { stateDirectory } = first;
  await t.rejects(open(first, info, 'wrong'), { code: 'PIN_REFUSED' });
  await forget(info.serial);
  await t.rejects(open(startProcess(t, { stateDirectory }), info, 'wrong'), {
    code: 'PIN_REFUSED',
    message: /as this node wrote down/,
  });
  t.equal(calls.logins, 1);
  const directory = join(stateDirectory, 'pin-guard');
  const file = readdirSync(directory).find((name) => name.startsWith('result-')) ?? '';
  t.equal(statSync(directory).mode & 0o777, 0o700);
  t.equal(statSync(join(directory, file)).mode & 0o777, 0o600);
  t.notMatch(readFileSync(join(directory, file), 'utf8'), /wrong/);
});

t.test('without a database there is no first login, and it goes on by itself when there is one', async (t) => {
  const info = token();
  const { open, calls } = device();
  const process = startProcess(t);
  await databases.stop();
  const opening = open(process, info, '1234');
  t.equal(calls.logins, 0);
  await databases.restart();
  await opening;
  t.equal(calls.logins, 1);
});

t.test('a login that succeeded while the database was lost counts after a restart of its process', async (t) => {
  const info = token();
  const { open, calls } = device();
  const { guard, stateDirectory } = startProcess(t);
  const entered = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  let outcome: LoginOutcome = 'none';
  const login = async (): Promise<void> => {
    entered.resolve();
    await leave.promise;
    outcome = 'succeeded';
  };
  // This process is never heard of again: its write waits for a database that does not come back for it.
  void guard.firstLogin(info, Buffer.from('1234'), login, () => outcome).catch(() => {});
  await entered.promise;
  await databases.stop();
  leave.resolve();
  await until('written down', () =>
    readdirSync(join(stateDirectory, 'pin-guard')).some((name) => name.startsWith('result-')),
  );
  await databases.restart();
  await open(startProcess(t, { stateDirectory }), info, '1234');
  t.same(await states(info.serial), ['succeeded']);
  t.equal(calls.logins, 1);
});

t.test('a login without a clear answer may be tried once more, by anybody, and not a third time', async (t) => {
  const info = token();
  const { open, calls } = device();
  await t.rejects(open(startProcess(t), info, '1234', 'uncertain'), { code: 'HSM_DEVICE_FAULT' });
  t.same(await states(info.serial), ['uncertain']);
  await t.rejects(open(startProcess(t), info, '1234', 'uncertain'), { code: 'HSM_DEVICE_FAULT' });
  await t.rejects(open(startProcess(t), info, '1234'), { code: 'PIN_REFUSED', message: /twice unclear/ });
  t.equal(calls.logins, 2);
});

t.test('a login without a clear answer says nothing against a PIN that another process proved meanwhile', async (t) => {
  const info = token();
  const { open, calls } = device();
  // It has read that nobody tried the PIN, and claims it too late.
  const beforeClaim = (): Promise<void> => open(startProcess(t, { node: 'node-2' }), info, '1234');
  await t.rejects(open(startProcess(t, { beforeClaim }), info, '1234', 'uncertain'), { code: 'HSM_DEVICE_FAULT' });
  t.equal(calls.logins, 2);
  t.same(await states(info.serial), ['succeeded']);
});

t.test('a process that was logged in already has proven nothing', async (t) => {
  const info = token();
  const { open } = device();
  await open(startProcess(t), info, 'whatever', 'already logged in');
  t.same(await states(info.serial), []);
});

t.test('a PIN that is refused in the middle of work is refused everywhere from then on', async (t) => {
  const info = token();
  const { open, calls } = device();
  const process = startProcess(t);
  await open(process, info, '1234');
  await process.guard.refusedLater('C_Login answered CKR_PIN_INCORRECT');
  await t.rejects(open(startProcess(t, { node: 'node-2' }), info, '1234'), { code: 'PIN_REFUSED' });
  t.equal(calls.logins, 1);
});

for (const when of ['at its login', 'in the middle of work'] as const) {
  t.test(
    `a PIN that opened the token before is not tried again after a refusal ${when} that reached no database`,
    async (t) => {
      const pinGuardGroup = `group-${randomUUID()}`;
      const info = token();
      const { open, calls } = device();
      await open(startProcess(t, { pinGuardGroup }), info, '1234');
      const process = startProcess(t, { node: 'node-2', pinGuardGroup });
      const { guard, stateDirectory } = process;
      const refusal = new CodedError('PIN_REFUSED', 'C_Login answered CKR_PIN_INCORRECT');
      let outcome: LoginOutcome = 'succeeded';
      const login = async (): Promise<void> => {
        calls.logins += 1;
        if (when === 'in the middle of work') return;
        await databases.stop();
        outcome = 'refused';
        throw refusal;
      };
      const logsIn = guard.firstLogin(info, Buffer.from('1234'), login, () => outcome);
      if (when === 'at its login') await t.rejects(logsIn, { code: 'PIN_REFUSED' });
      else {
        await logsIn;
        await databases.stop();
        await guard.refusedLater(refusal.detail);
      }
      process.die();
      await databases.restart();
      t.same(await states(info.serial), ['succeeded']);

      // Whatever shares the counter finds it, and tells the cluster, so that an order on any node undoes it.
      const again = { node: 'node-2', pinGuardGroup, stateDirectory };
      await t.rejects(open(startProcess(t, again), token(), '1234'), {
        code: 'PIN_REFUSED',
        message: /node node-2, slot a/,
      });
      t.same(await states(info.serial), ['refused']);
      await t.rejects(open(startProcess(t, again), info, '1234'), { code: 'PIN_REFUSED' });
      await t.rejects(open(startProcess(t, { pinGuardGroup }), info, '1234'), { code: 'PIN_REFUSED' });
      t.equal(calls.logins, 2);
      const pool = createPool(
        databases.driver,
        { applicationName: 'test', max: 1, durability: 'durable' },
        createLog('silent', {}),
      );
      t.teardown(() => pool.end());
      await clearAttempts(pool, {
        guardGroup: pinGuardGroup,
        tokenSerial: info.serial,
        tokenLabel: 'vault',
        node: 'node-1',
        slot: 'a',
      });
      await open(startProcess(t, again), info, '1234');
      t.equal(calls.logins, 3);
      t.ok((await states(info.serial)).includes('succeeded'));
    },
  );
}

t.test('a refusal that a command without a database met is known to the node of its machine', async (t) => {
  const info = token();
  const { open, calls } = device();
  const process = startProcess(t);
  const { stateDirectory } = process;
  await open(process, info, '1234');
  const guard = { firstLogin: localGuard(openLocalResults(stateDirectory), { name: 'a' }) };
  await open({ guard }, info, '1234');
  await t.rejects(open({ guard }, info, '1234', 'refused'), { code: 'PIN_REFUSED' });
  await t.rejects(open(startProcess(t, { stateDirectory }), info, '1234'), { code: 'PIN_REFUSED' });
  t.equal(calls.logins, 3);
  t.same(await states(info.serial), ['refused']);
});

t.test('an operator’s order allows one more try, on this node and on others, and is used up by it', async (t) => {
  const { serial } = token();
  const { open, calls } = device();
  const here = startProcess(t);
  const elsewhere = startProcess(t, { node: 'node-2' });
  await t.rejects(open(here, token(0x400, serial), 'wrong'), { code: 'PIN_REFUSED' });
  const pool = createPool(
    databases.driver,
    { applicationName: 'test', max: 1, durability: 'durable' },
    createLog('silent', {}),
  );
  t.teardown(() => pool.end());
  const order = { guardGroup: serial, tokenSerial: serial, tokenLabel: 'vault', node: 'node-1', slot: 'a' };
  t.match(await readRefusals(pool, serial), [{ state: 'refused', where: /node node-1, slot a/ }]);
  await clearAttempts(pool, order);
  t.same(await readRefusals(pool, serial), []);
  // It is still wrong: one more login, then refused again everywhere.
  await t.rejects(open(here, token(countLow, serial), 'wrong'), { code: 'PIN_REFUSED' });
  await t.rejects(open(elsewhere, token(countLow, serial), 'wrong'), { code: 'PIN_REFUSED' });
  t.equal(calls.logins, 2);
  await clearAttempts(pool, order);
  await open(elsewhere, token(countLow, serial), '1234');
  t.equal(calls.logins, 3);
  // After a right login a low counter is somebody else's doing again.
  await t.rejects(open(here, token(countLow, serial), 'new'), { code: 'PIN_NOT_TRIED' });
});

t.test('the turn of a login whose process died is given up, and the next login has it', (t) => {
  const known = openLocalResults(temporaryDirectory(t)).known('group', '0123456789abcdef');
  const refusal = new CodedError('PIN_REFUSED', 'C_Login answered CKR_PIN_INCORRECT');
  const refuse = (): never => {
    throw refusal;
  };
  t.equal(
    inLoginTurn(known, () => 'in'),
    'in',
  );
  // It was refused and killed before that was written down: the turn stays.
  t.throws(() => inLoginTurn(known, refuse), refusal);
  t.throws(() => inLoginTurn(known, () => t.fail('tried')), { code: 'HSM_DEVICE_FAULT', detail: /did not end/ });
  t.equal(
    inLoginTurn(known, () => 'in'),
    'in',
  );
  t.end();
});

t.test('a state directory that cannot be used is refused before anything is tried', async (t) => {
  const file = join(temporaryDirectory(t), 'file');
  writeFileSync(file, '');
  t.throws(() => openLocalResults(file), { code: 'CONFIG_INVALID', detail: /stateDirectory/ });
});

async function owner(sql: string, serial: string): Promise<void> {
  const options = { applicationName: 'test', max: 1, durability: 'durable', role: 'owner' } as const;
  const pool = createPool(databases.driver, options, createLog('silent', {}));
  try {
    await pool.query(sql, [serial]);
  } finally {
    await pool.end();
  }
}

function forget(serial: string): Promise<void> {
  return owner('delete from pin_attempt where token_serial = $1', serial);
}

function age(serial: string): Promise<void> {
  return owner("update pin_attempt set alive_until = now() - interval '1 second' where token_serial = $1", serial);
}
