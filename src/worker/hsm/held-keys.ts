import { CodedError } from '../../shared/errors.ts';
import { integrityKeysOf, type KeyRing, masterKeysOf, wrapMechanismOn } from '../../shared/key-ring.ts';
import type { Cryptoki, Handle } from './module.ts';
import { createSession, findIntegrityKey, findMasterKey, type Session, sessionWith } from './session.ts';
import type { Token } from './token.ts';

/**
 * The keys of the key ring as one session finds them on its token. Each is a view of the same PKCS#11 session: what is
 * unwrapped or tagged through a view is unwrapped or tagged by that view's key. Found is not proven: only the current
 * keys must be there, and whether a further one counts is the probe's verdict.
 */
export interface HeldKeys {
  readonly current: Session;
  /** By master key id, the current one included. */
  readonly masterKeys: ReadonlyMap<string, Session>;
  /** By integrity key id, the current one included. */
  readonly integrityKeys: ReadonlyMap<string, Session>;
  /** Why a further key of the ring was not found, by its id. */
  readonly lacking: ReadonlyMap<string, CodedError>;
}

/** A rotation slot holds older master keys as objects that open keys for the current one to wrap; it signs for nobody. */
export type SlotPurpose = 'signing' | 'rotation';

/**
 * @param handle an open session of a logged-in user; closed by this function when it throws.
 * @throws MASTER_KEY_MISSING, MASTER_KEY_OTHER about a current key; Pkcs11Fault
 */
export function findKeys(cryptoki: Cryptoki, token: Token, handle: Handle, ring: KeyRing): HeldKeys {
  const current = createSession(cryptoki, token, handle, ring.current);
  current.useMechanism(wrapMechanismOn(ring.current, token.info.serial));
  const { masterKey, integrityKey, wrapMethod } = current;
  const masterKeys = new Map([[ring.current.masterKey.id, current]]);
  const integrityKeys = new Map([[ring.current.integrityKey.id, current]]);
  const lacking = new Map<string, CodedError>();

  const look = (id: string, views: Map<string, Session>, view: () => Session): void => {
    if (views.has(id)) return;
    try {
      views.set(id, view());
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      lacking.set(id, error);
    }
  };
  try {
    for (const file of masterKeysOf(ring)) {
      const { id, wrapAlgorithm: algorithm } = file.masterKey;
      const mechanism = wrapMechanismOn(file, token.info.serial);
      look(id, masterKeys, () =>
        sessionWith(cryptoki, handle, {
          masterKey: findMasterKey(cryptoki, token, handle, file),
          integrityKey,
          wrapMethod: { algorithm, mechanism },
        }),
      );
    }
    for (const file of integrityKeysOf(ring)) {
      look(file.integrityKey.id, integrityKeys, () =>
        sessionWith(cryptoki, handle, {
          masterKey,
          integrityKey: findIntegrityKey(cryptoki, token, handle, file),
          wrapMethod,
        }),
      );
    }
  } catch (error) {
    current.close();
    throw error;
  }
  return { current, masterKeys, integrityKeys, lacking };
}

/** True once a key of any view could not be destroyed. */
export function isTainted({ masterKeys }: HeldKeys): boolean {
  return [...masterKeys.values()].some((view) => view.tainted);
}
