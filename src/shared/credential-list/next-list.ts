import { type CredentialList, type ListedCredential, readCredentialList } from './credential-list.ts';

/** The list after `base`, or the first one. Nothing is in force before the operators approved it. */
export function nextList(
  keyStore: string,
  base: CredentialList | undefined,
  credentials: readonly ListedCredential[],
  now = new Date(),
): CredentialList {
  return {
    version: (base?.version ?? 0) + 1,
    keyStore,
    createdAt: now.toISOString(),
    credentials: credentials.toSorted(byName),
  };
}

/**
 * What stays of `before` when the API’s credentials are `now`: one that is gone from there may authorise nothing any
 * more, but keeps its place, because the wallets that it made are believed by its signature.
 */
export function withoutTheGone(
  before: readonly ListedCredential[],
  now: readonly ListedCredential[],
): readonly ListedCredential[] {
  const present = new Set(now.map(nameOf));
  return [...now, ...before.filter((one) => !present.has(nameOf(one))).map((one) => ({ ...one, operations: [] }))];
}

/** As it is approved: its bytes count. Readable, because people compare it. */
export function listText(list: CredentialList): string {
  const text = `${JSON.stringify(list, null, 2)}\n`;
  readCredentialList(text);
  return text;
}

/** What another list would change, one line for each credential. */
export function listChanges(from: CredentialList | undefined, to: CredentialList): string[] {
  const before = new Map((from?.credentials ?? []).map((one) => [nameOf(one), one]));
  const after = new Map(to.credentials.map((one) => [nameOf(one), one]));
  const gone = [...before].filter(([name]) => !after.has(name)).map(([, one]) => `- ${lineOf(one)}`);
  const added = [...after].filter(([name]) => !before.has(name)).map(([, one]) => `+ ${lineOf(one)}`);
  const changed = [...after].flatMap(([name, one]) => {
    const old = before.get(name);
    if (old === undefined || lineOf(old) === lineOf(one)) return [];
    const key = old.publicKey === one.publicKey ? '' : '  PUBLIC KEY CHANGED';
    return [`~ ${lineOf(one)}${key}  (was ${rights(old)})`];
  });
  return [...gone, ...added, ...changed];
}

function lineOf(one: ListedCredential): string {
  const key = one.publicKey.replaceAll(/-----[^-]+-----|\s/g, '').slice(-16);
  return `${one.organisation}  ${one.id}  ${one.name}  key …${key}  ${rights(one)}`;
}

function rights({ operations }: ListedCredential): string {
  return operations.length === 0 ? 'may authorise nothing' : operations.join(', ');
}

function nameOf({ organisation, id }: ListedCredential): string {
  return JSON.stringify([organisation, id]);
}

function byName(one: ListedCredential, other: ListedCredential): number {
  return nameOf(one) < nameOf(other) ? -1 : 1;
}
