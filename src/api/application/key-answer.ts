import type { Key } from '../keys.ts';

/** A key as applications see it (contract of the Dfns API, section 4); absent members are left out. */
export interface KeyAnswer {
  readonly id: string;
  readonly scheme: string;
  readonly curve: string;
  /** Hex without 0x; see src/shared/keys.ts. */
  readonly publicKey: string;
  readonly name?: string;
  readonly status: Key['status'];
  /** True: the organisation's, not delegated to an end user. */
  readonly custodial: true;
  readonly dateCreated: string;
}

export function keyAnswer(key: Key): KeyAnswer {
  return {
    id: key.id,
    scheme: key.type.scheme,
    curve: key.type.curve,
    publicKey: key.publicKey,
    ...(key.name === undefined ? {} : { name: key.name }),
    status: key.status,
    custodial: true,
    dateCreated: key.createdAt.toISOString(),
  };
}
