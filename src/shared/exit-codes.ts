/**
 * Exit codes of every `hsm-driver` process: an API between worker and primary, and between the primary and whoever
 * started it (systemd, Kubernetes, a person). Numbers are never re-used. `restart` is what the primary does with a
 * worker that ended so; see src/primary/restart-policy.ts.
 */
export const exitCodes = {
  OK: { code: 0, restart: 'no', meaning: 'ended as asked' },
  INTERNAL: { code: 1, restart: 'back-off', meaning: 'an unexpected error; the log holds it' },
  USAGE: { code: 2, restart: 'no', meaning: 'wrong command line' },
  CONFIGURATION: { code: 10, restart: 'no', meaning: 'the configuration file is not valid' },
  SECRET_FILE: { code: 11, restart: 'no', meaning: 'a PIN, password or private key file is missing or unsafe' },
  MODULE: { code: 12, restart: 'no', meaning: 'the PKCS#11 module cannot be loaded' },
  TOKEN: { code: 13, restart: 'back-off', meaning: 'no token, or more than one, fits the slot’s configuration' },
  PIN: { code: 14, restart: 'no', meaning: 'the token refused the PIN; nobody may try it again' },
  MASTER_KEY: { code: 15, restart: 'back-off', meaning: 'the token does not hold the ceremony’s keys' },
  DEVICE: { code: 16, restart: 'back-off', meaning: 'the HSM failed; a new process starts over' },
  DATABASE: { code: 17, restart: 'back-off', meaning: 'the database cannot be reached' },
  SCHEMA: { code: 18, restart: 'back-off', meaning: 'the database schema is too old or too new; run migrate' },
  PRIMARY_LOST: { code: 19, restart: 'no', meaning: 'the worker lost its primary' },
  LISTEN: { code: 20, restart: 'no', meaning: 'an address to listen on is taken or not allowed' },
  CEREMONY: { code: 21, restart: 'no', meaning: 'the ceremony was refused or a check of it failed' },
  NOT_READY: { code: 22, restart: 'no', meaning: 'no slot of the node is ready, or the node does not answer' },
  AUDIT_LOG: { code: 30, restart: 'no', meaning: 'audit verify: the log was altered, or its end is missing' },
  BACKUP: {
    code: 31,
    restart: 'no',
    meaning: 'a backup is not as it was made, or cannot be restored; or a drill failed',
  },
  UNFIT: { code: 23, restart: 'no', meaning: 'qualify: an HSM is not fit for this driver; the report says why' },
  UNSOUND: { code: 24, restart: 'no', meaning: 'doctor: something must be mended; the findings say what' },
  ORDER: { code: 25, restart: 'no', meaning: 'a signed order of the operators is missing or not good for this' },
  ROTATION: { code: 26, restart: 'no', meaning: 'a key rotation cannot do the step that was asked for' },
  SELF_TEST: { code: 29, restart: 'no', meaning: 'self-test: no signature that holds came back' },
  DIFFERENT: { code: 33, restart: 'no', meaning: 'reconcile: the two databases do not know the same keys' },
} as const;

export type ExitName = keyof typeof exitCodes;

/** What a worker's exit code says, `undefined` for a code that is not in the table (a signal, a native crash). */
export function exitName(code: number): ExitName | undefined {
  const entry = Object.entries(exitCodes).find(([, value]) => value.code === code);
  return entry?.[0] as ExitName | undefined;
}
