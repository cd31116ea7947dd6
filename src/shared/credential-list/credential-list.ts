import { createHash, createPublicKey } from 'node:crypto';
import { z } from 'zod';
import { CodedError } from '../errors.ts';
import type { Operators } from '../orders/operators.ts';
import type { OrderAbout, SignedOrder } from '../orders/order.ts';
import { verifyApproval } from '../orders/verify-order.ts';
import { credentialPem, credentialVerifier } from '../user-action/credential-key.ts';

/**
 * The credentials that a driver believes: which public key may authorise what, for which organisation. A list is a JSON
 * file with a version, approved as it is (its bytes) by an order of the operators; what the signing API says of
 * credentials counts for nothing beside it. A list is replaced by one of a higher version, never by a lower one.
 */

/** What a credential may authorise at a driver, in the words of the Dfns API’s permissions. */
export const pinnedOperations = ['Keys:Create', 'Keys:Signatures:Create', 'Wallets:Create'] as const;
export type PinnedOperation = (typeof pinnedOperations)[number];

const pinnedCredential = z.strictObject({
  id: z.string().min(1).max(256),
  organisation: z.string().min(1).max(64),
  /** For people. */
  name: z.string().max(200),
  publicKey: z.string().max(4096),
  /** None: it may authorise nothing any more, and the wallets that it made in its time stay what they are. */
  operations: z.array(z.enum(pinnedOperations)),
});

export const credentialList = z.strictObject({
  version: z.int().min(1).max(2_147_483_647),
  keyStore: z.string().min(1).max(64),
  createdAt: z.iso.datetime(),
  credentials: z.array(pinnedCredential).max(100_000),
});
export type CredentialList = z.infer<typeof credentialList>;
export type ListedCredential = CredentialList['credentials'][number];

/** A credential ready to be checked against. */
export interface PinnedCredential {
  readonly organisation: string;
  /** Whether it signed these bytes. */
  readonly signed: (message: Buffer, signature: Buffer) => boolean;
  readonly operations: ReadonlySet<PinnedOperation>;
}

/** A list that the operators approved. */
export interface PinnedCredentials {
  readonly version: number;
  /** By organisation and id, since an id is the caller’s to choose. */
  find(organisation: string, id: string): PinnedCredential | undefined;
  readonly size: number;
}

/** What the order for a list is about. @param text the list’s file, byte for byte. */
export function aboutCredentialList(text: string): OrderAbout {
  return {
    kind: 'credentials',
    subject: `version ${readCredentialList(text).version}`,
    documentSha256: createHash('sha256').update(text, 'utf8').digest('hex'),
  };
}

/** @throws CREDENTIAL_LIST_INVALID naming every problem */
export function readCredentialList(text: string): CredentialList {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid((cause as Error).message, cause);
  }
  const { success, data, error } = credentialList.safeParse(json);
  if (!success) throw invalid(error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  const seen = new Set<string>();
  for (const credential of data.credentials) {
    const name = nameOf(credential.organisation, credential.id);
    if (seen.has(name)) throw invalid(`credential ${credential.id} of ${credential.organisation} stands there twice`);
    seen.add(name);
  }
  return data;
}

/**
 * A list that is in force: approved by the operators for this key store. The time of the order counts when the list is
 * installed, not here.
 * @throws CREDENTIAL_LIST_INVALID, ORDER_REFUSED
 */
export function approvedCredentials(
  text: string,
  order: SignedOrder,
  keyStore: string,
  operators: Operators,
): PinnedCredentials {
  verifyApproval(order, { keyStore, about: aboutCredentialList(text) }, operators);
  const list = readCredentialList(text);
  if (list.keyStore !== keyStore) throw invalid(`it is for key store ${list.keyStore}`);
  const credentials = new Map(
    list.credentials.map((one) => [
      nameOf(one.organisation, one.id),
      {
        organisation: one.organisation,
        signed: credentialVerifier(createPublicKey(requirePublicKey(one))),
        operations: new Set(one.operations),
      },
    ]),
  );
  return {
    version: list.version,
    find: (organisation, id) => credentials.get(nameOf(organisation, id)),
    size: credentials.size,
  };
}

function requirePublicKey({ id, publicKey }: ListedCredential): string {
  try {
    return credentialPem(publicKey);
  } catch (cause) {
    throw invalid(`the public key of credential ${id}: ${(cause as Error).message}`, cause);
  }
}

/** Neither part holds a line end where it comes from, and here it could not join two names to a third. */
function nameOf(organisation: string, id: string): string {
  return JSON.stringify([organisation, id]);
}

function invalid(why: string, cause?: unknown): CodedError {
  return new CodedError('CREDENTIAL_LIST_INVALID', why, { cause });
}
