/** What is signed, and by what kind of credential it was authorised. */
export interface CheckedKind {
  readonly credential: 'Ed25519' | 'P-256' | 'secp256k1' | 'RSA-2048';
  /** A bare hash by a key, or an EVM transaction through a wallet. */
  readonly body: 'hash' | 'transaction';
}

export type AuthorisationCalls = {
  /** Makes so many authorised requests: what is measured has nothing else to do. */
  prepare: { ask: CheckedKind & { readonly count: number }; answer: null };
  /** All of them once. Answers the CPU time of one, ms, all threads of the process. @throws for one that is refused */
  check: { ask: { readonly mode: 'off' | 'enforce' }; answer: number };
};
