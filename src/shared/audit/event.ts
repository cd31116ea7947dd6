import type { KeyType } from '../keys.ts';

/**
 * What the audit log of the driver tells of. One type for each kind: a new kind is added here, and `audit verify` accepts
 * kinds that it does not know, so that an old program can check a new export. Digests are base64url of 32 bytes (SHA-256).
 * Nothing secret goes in here: the log is exported and given to auditors.
 */
export type AuditEvent = WithoutEntryFields<
  | Opened
  | Closed
  | Signed
  | Discarded
  | KeyGenerated
  | KeyDiscarded
  | KeyMarked
  | HeadSigned
  | HeadAnchored
  | OrderCarriedOut
  | OrderInForce
  | Frozen
  | Thawed
  | CredentialsInstalled
  | RotationStep
  | PinCleared
  | CeremonyStep
  | BackupMade
  | DatabaseRestored
  | HsmRetired
  | JournalTrimmed
  | DatabasesReconciled
  | ChainTrimmed
>;

/** What an entry has beside its event: an event with a field of such a name would hide it, and is no AuditEvent. */
type EntryField = 'sequence' | 'previous' | 'at' | 'version' | 'token';
type WithoutEntryFields<Event> = Event extends unknown
  ? Extract<keyof Event, EntryField> extends never
    ? Event
    : never
  : never;

/** How far a chain has come: number and hash of its newest entry. */
export interface ChainHead {
  readonly sequence: number;
  readonly hash: string;
}

/** The first entry of every chain: whose it is. The chain's stamp (version, token) is in this and every other entry. */
export interface Opened {
  readonly kind: 'opened';
  /** The instance: one process from its start to its end. */
  readonly chain: string;
  readonly program: 'worker' | 'primary' | 'command';
  readonly keyStore: string;
  readonly node?: string;
  readonly slot?: string;
  /** The command's name, e.g. `restore`. */
  readonly command?: string;
  readonly masterKeyId?: string;
}

/** The process ended as asked; a chain without it ended with its process. */
export interface Closed {
  readonly kind: 'closed';
}

/** Signatures were made in the HSM and offered to the journal. They are released unless `discarded` follows. */
export interface Signed {
  readonly kind: 'signed';
  readonly requestId: string;
  readonly keyId: string;
  /** The journal's payload digest. */
  readonly payload: string;
  /** Of all r‖s of the request, one after the other. */
  readonly signatures: string;
  readonly masterKeyId: string;
}

/** Signatures that were made and are never released. */
export interface Discarded {
  readonly kind: 'discarded';
  readonly requestId: string;
  readonly keyId: string;
  readonly payload: string;
  readonly reason: string;
}

/** A key was made in the HSM and offered to the database. It exists unless `key-discarded` follows. */
export interface KeyGenerated {
  readonly kind: 'key-generated';
  readonly requestId: string;
  readonly keyId: string;
  readonly organisation: string;
  readonly type: KeyType;
  readonly publicKey: string;
  readonly masterKeyId: string;
}

export interface KeyDiscarded {
  readonly kind: 'key-discarded';
  readonly requestId: string;
  readonly keyId: string;
  readonly publicKey: string;
  readonly reason: string;
}

/** The status of a key's row was changed. */
export interface KeyMarked {
  readonly kind: 'key-marked';
  readonly keyId: string;
  readonly status: 'active' | 'broken' | 'deleted';
  readonly reason: string;
}

/** The attestation key signed this chain as it was at an earlier entry (src/shared/audit/head.ts). */
export interface HeadSigned {
  readonly kind: 'head-signed';
  readonly head: ChainHead;
  /** base64url of r‖s, 64 bytes. */
  readonly signature: string;
}

/** Another chain as it stood in the database: whoever cuts that one must cut this one too. */
export interface HeadAnchored {
  readonly kind: 'head-anchored';
  readonly chain: string;
  readonly head: ChainHead;
}

/** An order of the operators (M of N) was carried out by this process. */
export interface OrderCarriedOut {
  readonly kind: 'order-carried-out';
  readonly orderId: string;
  readonly action: string;
  /** Names of the operators whose signatures were verified. */
  readonly operators: readonly string[];
  /** Of the order's text as it was signed. */
  readonly order: string;
}

/**
 * This worker found an order in the database, verified it while it was good, and obeys it from now on. Without an
 * `order-carried-out` of the same order, somebody put it there without the command.
 */
export interface OrderInForce extends Omit<OrderCarriedOut, 'kind'> {
  readonly kind: 'order-in-force';
}

/** Nothing is signed for this from now on. */
export interface Frozen {
  readonly kind: 'frozen';
  readonly freeze: string;
  readonly scope: 'key' | 'organisation' | 'key-store';
  readonly subject: string;
  readonly reason: string;
}

export interface Thawed {
  readonly kind: 'thawed';
  readonly freeze: string;
}

/** A list of credentials came in force. */
export interface CredentialsInstalled {
  readonly kind: 'credentials-installed';
  readonly listVersion: number;
  readonly credentials: number;
  /** SHA-256 of the list's file, lower-case hex. */
  readonly list: string;
}

/** Master key or integrity key rotation, and the destruction of an old key. */
export interface RotationStep {
  readonly kind: 'rotation';
  readonly what: 'master key' | 'integrity key';
  readonly step: string;
  readonly from: string;
  readonly to: string;
  /** Rows done so far, where the step is about rows. */
  readonly rows?: number;
}

export interface PinCleared {
  readonly kind: 'pin-cleared';
  readonly guardGroup: string;
  readonly node: string;
  readonly slot: string;
}

export interface CeremonyStep {
  readonly kind: 'ceremony';
  readonly step: string;
  readonly masterKeyId: string;
  /** Serial numbers of the tokens that took part. */
  readonly tokens: readonly string[];
}

export interface BackupMade {
  readonly kind: 'backup-made';
  readonly backup: string;
  readonly keys: number;
  /** The checksum at the end of the backup file. */
  readonly checksum: string;
}

export interface DatabaseRestored {
  readonly kind: 'restored';
  readonly backup: string;
  readonly keys: number;
  readonly checksum: string;
}

export interface HsmRetired {
  readonly kind: 'hsm-retired';
  readonly tokenSerial: string;
  readonly masterKeyIds: readonly string[];
  readonly objectsDestroyed: number;
}

/** Rows that no request can need any more left the journal. */
export interface JournalTrimmed {
  readonly kind: 'journal-trimmed';
  readonly rows: number;
  readonly keptDays: number;
}

/** The keys of the signing API and of this database were compared, and differ. */
export interface DatabasesReconciled {
  readonly kind: 'databases-differ';
  readonly missingHere: number;
  readonly unknownToApi: number;
  readonly different: number;
}

/** The owner removed an ended chain after it was exported: this is what is left of it. */
export interface ChainTrimmed {
  readonly kind: 'chain-trimmed';
  readonly chain: string;
  readonly head: ChainHead;
}
