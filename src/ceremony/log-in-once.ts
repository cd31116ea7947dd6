import { randomUUID } from 'node:crypto';
import { readSecretFile } from '../shared/configuration/secret-file.ts';
import type { DatabaseConfiguration, TokenConfiguration } from '../shared/configuration/sections.ts';
import { isUnreachable, unreachable } from '../shared/database/faults.ts';
import { checkSchema } from '../shared/database/migrate.ts';
import { createPool } from '../shared/database/pool.ts';
import { driverSchema } from '../shared/database/schema/driver.ts';
import { CodedError } from '../shared/errors.ts';
import { createLog } from '../shared/log.ts';
import { createDriverDatabase } from '../worker/database.ts';
import { Pkcs11Fault } from '../worker/hsm/fault.ts';
import type { FirstLogin, LoginOutcome, LoginResult } from '../worker/hsm/login-guard.ts';
import { type Cryptoki, type Handle, loadModule } from '../worker/hsm/module.ts';
import { login, selectToken, type Token } from '../worker/hsm/token.ts';
import { localGuard } from '../worker/pin-guard/local-guard.ts';
import { openLocalResults } from '../worker/pin-guard/local-results.ts';
import { createPinGuard } from '../worker/pin-guard/pin-guard.ts';

/** Where it is written down which PINs were refused: what a command asks before a login, and adds to after it. */
export interface PinRecord {
  readonly stateDirectory: string;
  /** The cluster’s record; without it only what this machine saw is known. */
  readonly database?: DatabaseConfiguration | undefined;
  /** Who tries, for people: the node’s name, or the command’s. */
  readonly node: string;
}

export interface Opened {
  readonly cryptoki: Cryptoki;
  readonly token: Token;
  readonly handle: Handle;
}

/**
 * Loads the module, selects the token, logs in: one attempt, under the same rules as a worker’s first login. A PIN that is
 * known to be refused is not tried, and a refusal is written down, so that no process tries it again either.
 * @throws MODULE_NOT_LOADED, TOKEN_…, SECRET_FILE_…, PIN_REFUSED, PIN_NOT_TRIED, DATABASE_UNREACHABLE, SCHEMA_…, Pkcs11Fault
 */
export async function logInOnce(slot: TokenConfiguration, record: PinRecord): Promise<Opened> {
  const cryptoki = loadModule(slot.module);
  cryptoki.initialize();
  const token = selectToken(cryptoki, { label: slot.tokenLabel, serial: slot.tokenSerial });
  const handle = cryptoki.openSession(token.slot);
  let outcome: LoginOutcome = 'none';
  const attempt = async (pin: Buffer): Promise<void> => {
    try {
      outcome = outcomeOf(login(cryptoki, handle, token, pin));
    } catch (error) {
      outcome = outcomeOfFailure(error);
      throw error;
    }
  };
  await withGuard(slot, record, async (firstLogin) => {
    const pin = readSecretFile(slot.pinFile, `slot ${slot.name} pinFile`);
    try {
      await firstLogin(
        token.info,
        pin,
        () => attempt(pin),
        () => outcome,
      );
    } finally {
      pin.fill(0);
    }
  });
  return { cryptoki, token, handle };
}

async function withGuard(
  slot: TokenConfiguration,
  { stateDirectory, database, node }: PinRecord,
  work: (firstLogin: FirstLogin) => Promise<void>,
): Promise<void> {
  const local = openLocalResults(stateDirectory);
  if (database === undefined) return await work(localGuard(local, slot));
  const log = createLog('error', { process: node });
  const pool = createPool(database, { applicationName: `hsm-driver ${node}`, max: 1, durability: 'durable' }, log);
  try {
    await checkSchema(pool, database, driverSchema);
    const driverDatabase = createDriverDatabase(pool, database, log);
    try {
      const guard = createPinGuard({ database: driverDatabase, local, slot, node, instance: randomUUID(), log });
      await work(guard.firstLogin);
    } finally {
      driverDatabase.stop();
    }
  } catch (error) {
    throw isUnreachable(error) ? unreachable(database, error) : error;
  } finally {
    await pool.end();
  }
}

function outcomeOf({ already }: LoginResult): LoginOutcome {
  return already ? 'already logged in' : 'succeeded';
}

function outcomeOfFailure(error: unknown): LoginOutcome {
  if (error instanceof CodedError && error.code === 'PIN_REFUSED') return 'refused';
  return error instanceof Pkcs11Fault && error.pkcs11Function === 'C_Login' ? 'uncertain' : 'none';
}
