import type { ExitName } from './exit-codes.ts';

/**
 * The catalogue of errors: stable codes (never re-used), what happened, what to do. An error is given its code where
 * it is understood, once; the process border turns it into an exit code, the HTTP border into a status. docs/errors.md
 * is printed from this table (scripts/docs) and held equal by a test.
 *
 * `exit`: the exit code of a process that ends because of it. `status`: the HTTP status of an answer that carries it.
 */
export interface CatalogueEntry {
  readonly what: string;
  readonly remedy: string;
  readonly exit?: ExitName;
  readonly status?: number;
}

export const catalogue = {
  // -- start-up -------------------------------------------------------------------------------------------------
  CONFIG_UNREADABLE: {
    what: 'The configuration file cannot be read',
    remedy: 'Check the path given with --config and that this user may read it',
    exit: 'CONFIGURATION',
  },
  CONFIG_INVALID: {
    what: 'The configuration is not valid',
    remedy: 'Mend each line named here; docs/configuration.md lists every key',
    exit: 'CONFIGURATION',
  },
  OPTION_INVALID: {
    what: 'An option of the command line is not valid',
    remedy: 'See the command’s --help',
    exit: 'USAGE',
  },
  SECRET_FILE_MISSING: {
    what: 'A secret file is missing',
    remedy: 'Create the file or correct its path in the configuration',
    exit: 'SECRET_FILE',
  },
  SECRET_FILE_UNSAFE: {
    what: 'A secret file can be read by everybody',
    remedy: 'Run chmod o-rwx on it (owner and group may read it, others not)',
    exit: 'SECRET_FILE',
  },
  SECRET_FILE_INVALID: {
    what: 'A secret file does not hold what it should',
    remedy: 'Write the secret into it again',
    exit: 'SECRET_FILE',
  },
  LISTEN_FAILED: {
    what: 'Cannot listen on the configured address',
    remedy: 'Free the port or change host and port in the configuration',
    exit: 'LISTEN',
  },
  // -- HSM ------------------------------------------------------------------------------------------------------
  MODULE_NOT_LOADED: {
    what: 'The PKCS#11 module cannot be loaded',
    remedy: 'Set slots[].module to the full path of the vendor’s PKCS#11 library for this platform',
    exit: 'MODULE',
  },
  TOKEN_NOT_FOUND: {
    what: 'No token has the configured label',
    remedy: 'Correct slots[].tokenLabel, or check that the HSM is connected and its partition initialised',
    exit: 'TOKEN',
  },
  TOKEN_AMBIGUOUS: {
    what: 'More than one token has the configured label',
    remedy: 'Set slots[].tokenSerial to the serial number of the one that is meant',
    exit: 'TOKEN',
  },
  PIN_REFUSED: {
    what: 'The token refused the PIN',
    remedy:
      'No process tries it again. Write the right PIN into the slot’s pinFile: the node notices and tries it once. If the PIN was right, run hsm-driver pin clear for the slot',
    exit: 'PIN',
  },
  PIN_NOT_TRIED: {
    what: 'The PIN was not tried',
    remedy:
      'Nothing was sent to the token. Find out who tried wrong PINs on it, log in once by hand with the right one (or have the security officer unlock it), then run hsm-driver pin clear for the slot',
    exit: 'PIN',
  },
  MASTER_KEY_MISSING: {
    what: 'The token does not hold the key store’s keys',
    remedy: 'Run the ceremony for this token, or correct slots[].tokenLabel',
    exit: 'MASTER_KEY',
  },
  MASTER_KEY_OTHER: {
    what: 'The token holds another master key than the ceremony file says',
    remedy: 'Point the slot at a token of this key store, or the configuration at its ceremony file',
    exit: 'MASTER_KEY',
  },
  KEY_NOT_ON_SLOT: {
    what: 'The slot does not hold the master key or integrity key that this row names',
    remedy:
      'Another slot takes the request. hsm-driver status shows what each slot lacks: fill its token, or name the key’s ceremony file under furtherCeremonyFiles',
  },
  TOKEN_NOT_CHECKED: {
    what: 'The token has not passed the ceremony’s check',
    remedy:
      'Run hsm-driver ceremony check for it (after add-token, where the protocol does not have it), and give the node the new protocol file',
    exit: 'MASTER_KEY',
  },
  HSM_BACK_PRESSURE: {
    what: 'The HSM has no room for another session or object',
    remedy: 'Lower slots[].sessions, or close other clients of this HSM',
    exit: 'DEVICE',
  },
  HSM_DEVICE_FAULT: {
    what: 'The HSM failed',
    remedy: 'Check the device, its network and its client software; the worker starts over by itself',
    exit: 'DEVICE',
  },
  HSM_REQUEST_REFUSED: {
    what: 'The HSM refused this request',
    remedy: 'The HSM is healthy; the request’s data or the mechanism does not suit it',
  },
  CURVE_NOT_SUPPORTED: {
    what: 'No slot of this driver can use the curve',
    remedy: 'See the probe table in the log; use an HSM that can wrap keys of this curve',
  },
  KEY_UNUSABLE: {
    what: 'The stored key does not open, or does not sign for its public key',
    remedy: 'The key’s row was changed or damaged; restore it from a backup',
  },
  SIGNATURE_INVALID: {
    what: 'The HSM made a signature that does not verify',
    remedy: 'The signature was discarded; check the device',
  },
  HSM_UNFIT: {
    what: 'The HSM is not fit for this driver',
    remedy: 'The report says why; docs/hsm names what is known of each vendor',
    exit: 'UNFIT',
  },
  DOCTOR_FOUND_PROBLEMS: {
    what: 'Something must be mended',
    remedy: 'Mend the first of the problems, then run doctor again',
    exit: 'UNSOUND',
  },
  // -- databases ------------------------------------------------------------------------------------------------
  DATABASE_UNREACHABLE: {
    what: 'The database cannot be reached',
    remedy: 'Check that PostgreSQL runs and the database section of the configuration',
    exit: 'DATABASE',
    status: 503,
  },
  SCHEMA_TOO_OLD: {
    what: 'The database schema is older than this program needs',
    remedy: 'Run hsm-driver migrate with this configuration',
    exit: 'SCHEMA',
  },
  SCHEMA_TOO_NEW: {
    what: 'The database schema is newer than this program understands',
    remedy: 'Run the program version that made it, or a newer one',
    exit: 'SCHEMA',
  },
  MIGRATION_ROLE_MISSING: {
    what: 'The configuration names no owner role for migrations',
    remedy: 'Add database.owner with user and passwordFile',
    exit: 'CONFIGURATION',
  },
  // -- audit log and backups ------------------------------------------------------------------------------------
  AUDIT_LOG_ALTERED: {
    what: 'The audit log does not hold',
    remedy:
      'The report says where. Keep the export and both databases as they are, and find out who could write there; docs/audit-log.md says what each finding means',
    exit: 'AUDIT_LOG',
  },
  OUTPUT_FILE_NOT_WRITTEN: {
    what: 'The file cannot be written',
    remedy: 'Name a file that is not there yet, in a folder that is, on a disk with room',
    exit: 'USAGE',
  },
  INPUT_FILE_UNREADABLE: {
    what: 'The file cannot be read',
    remedy: 'Check the path and that this user may read it',
    exit: 'USAGE',
  },
  BACKUP_ALTERED: {
    what: 'The backup is not as it was made',
    remedy: 'Nothing was changed. Copy it again from where it is kept, or use another one',
    exit: 'BACKUP',
  },
  RESTORE_REFUSED: {
    what: 'The backup cannot be restored here',
    remedy: 'Nothing was changed; see docs/backup.md',
    exit: 'BACKUP',
  },
  DRILL_FAILED: {
    what: 'The restored keys do not all work',
    remedy: 'The report names them; the backup or the HSM is not what disaster recovery needs',
    exit: 'BACKUP',
  },
  RETIRE_REFUSED: {
    what: 'The HSM cannot be retired now',
    remedy: 'Nothing was changed; mend what is named here first',
    exit: 'USAGE',
  },
  REPLICAS_NOT_SYNCHRONOUS: {
    what: 'The database could lose what it has committed when a replica is promoted',
    remedy: 'Set synchronous_standby_names on the server, or leave synchronousReplica out of the database section',
    exit: 'DATABASE',
  },
  // -- driver protocol ------------------------------------------------------------------------------------------
  API_UNREACHABLE: {
    what: 'The signing API cannot be reached',
    remedy:
      'Check api.addresses and that the API runs; where it answers with an error, its own log says why. The driver keeps trying',
  },
  CLIENT_CERTIFICATE_MISSING: {
    what: 'No valid client certificate was presented',
    remedy: 'Set api.certificateFile and api.privateKeyFile to a certificate signed by the API’s driver.clientCaFile',
    status: 401,
  },
  DRIVER_NOT_LISTED: {
    what: 'The client certificate’s node is not on the list',
    remedy: 'Add the node to driver.nodes in the API’s configuration, or use that node’s certificate',
    status: 403,
  },
  DRIVER_REVOKED: {
    what: 'The node was revoked',
    remedy: 'Issue it a new certificate and add it again with hsm-driver api driver add',
    status: 403,
    exit: 'USAGE',
  },
  INSTANCE_OF_OTHER_NODE: {
    what: 'The instance belongs to another node',
    remedy: 'Each worker makes a new instance id at its start',
    status: 403,
  },
  AUDIT_HEAD_REFUSED: {
    what: 'The signing API refuses the head of an audit chain',
    remedy:
      'The chain was cut or rewritten, or two processes carry one id: keep both databases as they are, export the audit log and the anchors, and run hsm-driver audit verify',
  },
  INSTANCE_ENDED: {
    what: 'The instance was ended',
    remedy: 'Start a new worker; an ended instance never gets work again',
    status: 409,
  },
  // -- request outcomes (driver → API) --------------------------------------------------------------------------
  KEY_NOT_IN_STORE: {
    what: 'The key is not in this key store’s database',
    remedy: 'Run hsm-driver reconcile; the driver database may have lost rows',
  },
  REQUEST_CONFLICT: {
    what: 'The request id was used before with another payload',
    remedy: 'The journal keeps the first one; send a new request',
  },
  DIGEST_INVALID: {
    what: 'What is to be signed has the wrong length',
    remedy: 'ECDSA signs digests of exactly 32 bytes',
    status: 400,
  },
  // -- application API ------------------------------------------------------------------------------------------
  BAD_REQUEST: { what: 'The request is not valid', remedy: 'See the message', status: 400 },
  UNSUPPORTED: { what: 'Not supported by an HSM key store', remedy: 'See the message', status: 400 },
  CHALLENGE_INVALID: {
    what: 'Challenge token is not valid.',
    remedy: 'Start again with POST /auth/action/init',
    status: 400,
  },
  USER_ACTION_USED: { what: 'user action has already been used', remedy: 'Sign a new user action', status: 400 },
  NOT_AUTHENTICATED: { what: 'Not Authorized.', remedy: 'Send a valid bearer token', status: 401 },
  CREDENTIAL_UNKNOWN: {
    what: 'User does not have a credential that can be used for the application.',
    remedy: 'Register the credential’s public key for this account',
    status: 401,
  },
  CREDENTIAL_REFUSED: {
    what: 'The public key cannot be a credential',
    remedy:
      'Use an Ed25519, Ed448, ECDSA (P-256, P-384, P-521, secp256k1) or RSA (2048 bits or more) public key in PEM',
    status: 400,
    exit: 'USAGE',
  },
  KEY_FILE_NOT_WRITTEN: {
    what: 'The private key’s file cannot be made',
    remedy: 'A key is never written over: move the one that is there away, or make its folder',
    exit: 'SECRET_FILE',
  },
  CLIENT_FILE_NOT_WRITTEN: {
    what: 'The client file cannot be made',
    remedy: 'Name a file that is not there yet, in a folder that is',
    exit: 'USAGE',
  },
  USER_ACTION_MISSING: {
    what: 'user action signature is missing or invalid',
    remedy: 'Sign the user action for exactly this method, path and body',
    status: 403,
  },
  NOT_PERMITTED: {
    what: 'The account is not authorized to perform the operation',
    remedy: 'Assign a permission with this operation to the service account',
    status: 403,
  },
  NOT_FOUND: { what: 'Not found', remedy: 'Check the id', status: 404, exit: 'USAGE' },
  WALLET_EXISTS: {
    what: 'The key has a wallet on this network already',
    remedy: 'Use that wallet, or another key: there is one wallet per key and network',
    status: 409,
  },
  WEBHOOK_URL_REFUSED: {
    what: 'Webhooks cannot be delivered to this URL',
    remedy: 'Use an https URL on a public address, or set webhooks.privateAddresses in the API’s configuration',
    status: 400,
  },
  RATE_LIMITED: {
    what: 'Too many calls with this token',
    remedy: 'Try again after Retry-After seconds, or raise rateLimit in the API’s configuration',
    status: 429,
  },
  DUPLICATE_EXTERNAL_ID: {
    what: 'Conflicting request with same externalId',
    remedy: 'Use a new externalId for a different request',
    status: 409,
  },
  TOO_MANY_OPEN_REQUESTS: {
    what: 'Too many requests of this organisation are open',
    remedy: 'Wait for some of them to finish; the API’s queue.openRequestsPerOrganisation is the limit',
    status: 429,
  },
  TOO_LARGE: { what: 'The request body is too large', remedy: 'Send less', status: 413 },
  INTERNAL: {
    what: 'Internal Server Error',
    remedy: 'The log of the server holds the cause',
    status: 500,
    exit: 'INTERNAL',
  },
  API_STOPPING: {
    what: 'This process of the signing API is stopping',
    remedy: 'Try again after Retry-After seconds; another process answers',
    status: 503,
  },
  NO_SIGNER_READY: {
    what: 'No HSM is ready for this request',
    remedy: 'Nothing was stored; try again after Retry-After seconds',
    status: 503,
  },
  KEY_RESTS: {
    what: 'Requests for this key end the HSM workers that get them',
    remedy:
      'Nothing was stored; try again later. The workers’ last faults say why: docs/runbook/SigningApiRequestsFailed.md',
    status: 503,
  },
  KEY_NOT_MADE: {
    what: 'The key could not be made',
    remedy: 'See the message; the log of the driver holds more',
    status: 500,
  },
  ATTESTATION_INVALID: {
    what: 'The stored key does not carry the attestation of its HSM',
    remedy: 'Its row was changed or damaged: find out by whom, and restore it from a backup',
    status: 500,
  },
  KEY_BEING_MADE: {
    what: 'The key is still being made',
    remedy: 'It appears in the list of keys once it is made; do not ask again at once',
    status: 504,
  },
  // -- operations -----------------------------------------------------------------------------------------------
  OPERATIONS_NOT_CONFIGURED: {
    what: 'The node has no operations server',
    remedy: 'Add the section operations with a port to its configuration and restart it',
    exit: 'CONFIGURATION',
  },
  NODE_NOT_ANSWERING: {
    what: 'The operations server of the node does not answer',
    remedy: 'Check that the node runs, and operations.host and port in this configuration',
    exit: 'NOT_READY',
  },
  NO_SLOT_READY: {
    what: 'No slot of the node is ready',
    remedy: 'The table says why, slot by slot',
    exit: 'NOT_READY',
  },
  // -- authorisation --------------------------------------------------------------------------------------------
  AUTHORISATION_REFUSED: {
    what: 'The caller did not authorise this',
    remedy: 'The driver refused it, not the API: find out who changed the request on its way',
  },
  AUTHORISATION_EXPIRED: {
    what: 'The caller’s authorisation is too old or from the future',
    remedy: 'Ask again; if it repeats, compare the clocks of the API and the node, and authorisation.maxAgeMs',
  },
  CREDENTIAL_NOT_PINNED: {
    what: 'The driver does not know this credential, or not for this',
    remedy: 'Have the operators approve a list with it: hsm-driver credentials build, then order, then install',
  },
  KIND_NOT_ALLOWED: {
    what: 'The key may not sign this kind of body',
    remedy:
      'Send what is to be signed as one of the allowed kinds; allowedKinds in the node’s configuration lists them',
  },
  FROZEN: {
    what: 'Nothing is signed for this',
    remedy: 'hsm-driver freeze list says who froze it and why; hsm-driver thaw ends it',
  },
  CREDENTIAL_LIST_INVALID: {
    what: 'The list of credentials is not valid',
    remedy: 'Nothing was changed. Mend what is named here, and have the operators approve it again',
    exit: 'ORDER',
  },
  CREDENTIAL_LIST_OLD: {
    what: 'The list of credentials is not newer than the one that is in force',
    remedy: 'Nothing was changed. Build the next version from the list in force',
    exit: 'ORDER',
  },
  GUARD_REFUSED: {
    what: 'The guard did not let this through',
    remedy:
      'Nothing was signed, or what was signed went nowhere. The signing API, or what stands before it, is not to be trusted: look at it before you go on',
    status: 502,
  },
  GUARD_UPSTREAM_LOST: {
    what: 'The guard cannot reach the signing API',
    remedy: 'Check --api and --ca-file of hsm-driver guard, and that the API runs',
    status: 502,
  },
  // -- orders ---------------------------------------------------------------------------------------------------
  ORDER_MISSING: {
    what: 'This needs a signed order of the operators',
    remedy:
      'Nothing was done. Make one with hsm-driver order new, have the operators sign it, and give it with --order',
    exit: 'ORDER',
  },
  ORDER_UNREADABLE: {
    what: 'The order cannot be read',
    remedy: 'Nothing was done. Take the file as hsm-driver order wrote it',
    exit: 'ORDER',
  },
  ORDER_REFUSED: {
    what: 'The order is not good for this',
    remedy: 'Nothing was done. hsm-driver order show prints what it orders and who signed it',
    exit: 'ORDER',
  },
  ORDER_USED: {
    what: 'The order was used before',
    remedy: 'Nothing was done. One order has one effect: make another with hsm-driver order new',
    exit: 'ORDER',
  },
  ORDER_NOT_CHECKED: {
    what: 'An order was given, and no operators are configured that could have signed it',
    remedy: 'Nothing was done. Add the section operators to the configuration, or leave --order out',
    exit: 'ORDER',
  },
  // -- self-test ------------------------------------------------------------------------------------------------
  SELF_TEST_FAILED: {
    what: 'The signing API did not give a signature that holds',
    remedy: 'The answer names the part that failed; hsm-driver status and doctor look at it from the other side',
    exit: 'SELF_TEST',
  },
  // -- maintenance ----------------------------------------------------------------------------------------------
  DATABASES_DIFFER: {
    what: 'The signing API and the driver database do not know the same keys',
    remedy: 'The list says which; docs/maintenance.md says what to do for each kind of difference',
    exit: 'DIFFERENT',
  },
  JOB_FAILED: {
    what: 'The maintenance job failed',
    remedy: 'See docs/maintenance.md for the job; mend the cause, then run hsm-driver jobs retry',
    exit: 'INTERNAL',
  },
  ROTATION_REFUSED: {
    what: 'The rotation cannot do this step',
    remedy: 'Nothing was changed; mend each point named here, docs/rotation.md has the steps in order',
    exit: 'ROTATION',
  },
  // -- ceremony -------------------------------------------------------------------------------------------------
  CEREMONY_NOT_LIVE: {
    what: 'The key store is not live',
    remedy: 'Finish its ceremony (hsm-driver ceremony check, then go-live), and give the node the new protocol file',
    exit: 'CEREMONY',
  },
  CEREMONY_REFUSED: {
    what: 'The ceremony cannot go on',
    remedy: 'Nothing was left on the tokens that could be used; mend the cause and start over',
    exit: 'CEREMONY',
  },
} as const satisfies Record<string, CatalogueEntry>;
