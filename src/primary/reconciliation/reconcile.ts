import type { KnownKey } from '../../shared/driver-protocol.ts';
import type { ApiKeys } from './api-keys.ts';
import type { StoredKeys } from './stored-keys.ts';

/** One key on which the two sides do not agree. */
export interface Difference {
  /**
   * `missing here`: the API shows the key, and no HSM can open it. `unknown to the API`: it is stored here and nobody can
   * ask for it. `different`: both have it, and not as the same key.
   */
  readonly kind: 'missing here' | 'unknown to the API' | 'different';
  readonly keyId: string;
  readonly detail: string;
}

export interface Reconciled {
  readonly apiKeys: number;
  readonly storedKeys: number;
  readonly missingHere: number;
  readonly unknownToApi: number;
  readonly different: number;
  /** The first ones. */
  readonly differences: readonly Difference[];
}

export interface ReconcileOptions {
  readonly signal: AbortSignal;
  /** After each page. */
  readonly onProgress: (compared: { readonly apiKeys: number; readonly storedKeys: number }) => Promise<void> | void;
  /** Most differences that are listed; all are counted. */
  readonly most: number;
}

/**
 * Compares the keys of both databases, each side against the other, a page at a time: memory does not grow with the number
 * of keys. Whatever one side lists is looked up by its id on the other, so the order of ids need not be the same on both.
 */
export async function reconcile(api: ApiKeys, stored: StoredKeys, options: ReconcileOptions): Promise<Reconciled> {
  const { signal, onProgress, most } = options;
  const differences: Difference[] = [];
  const counts = { 'missing here': 0, 'unknown to the API': 0, different: 0 };
  let [apiKeys, storedKeys] = [0, 0];

  function note(difference: Difference | undefined): void {
    if (difference === undefined) return;
    counts[difference.kind] += 1;
    if (differences.length < most) differences.push(difference);
  }

  for await (const page of api.pages(signal)) {
    const here = byId(await stored.named(page.map(({ id }) => id)));
    for (const key of page) note(missingOrDifferent(key, here.get(key.id)));
    apiKeys += page.length;
    await onProgress({ apiKeys, storedKeys });
  }
  for await (const page of stored.pages()) {
    const there = byId(
      await api.named(
        page.map(({ id }) => id),
        signal,
      ),
    );
    for (const key of page) if (!there.has(key.id)) note(unknown(key));
    storedKeys += page.length;
    await onProgress({ apiKeys, storedKeys });
  }
  return {
    apiKeys,
    storedKeys,
    missingHere: counts['missing here'],
    unknownToApi: counts['unknown to the API'],
    different: counts.different,
    differences,
  };
}

function byId(keys: readonly KnownKey[]): Map<string, KnownKey> {
  return new Map(keys.map((key) => [key.id, key]));
}

function missingOrDifferent(there: KnownKey, here: KnownKey | undefined): Difference | undefined {
  const { id: keyId, organisation, publicKey } = there;
  if (here === undefined)
    return { kind: 'missing here', keyId, detail: `organisation ${organisation}, public key ${publicKey}` };
  const names = ['organisation', 'requestId', 'scheme', 'curve', 'publicKey'] as const;
  const wrong = names.filter((name) => here[name] !== there[name]);
  if (wrong.length === 0) return undefined;
  const detail = wrong.map((name) => `${name} is ${here[name]} here and ${there[name]} at the API`).join('; ');
  return { kind: 'different', keyId, detail };
}

function unknown({ id: keyId, organisation, publicKey }: KnownKey): Difference {
  return { kind: 'unknown to the API', keyId, detail: `organisation ${organisation}, public key ${publicKey}` };
}
