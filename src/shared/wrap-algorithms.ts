/**
 * How a wallet key may be wrapped, in the order of preference. The name says what the bytes are, whatever number a vendor
 * gives the mechanism; rows and the ceremony file carry it.
 *
 *   RFC5649   AES key wrap with padding; the blob is the algorithm's output
 *   AES-GCM   NIST SP 800-38D; IV and AAD stand before the ciphertext (src/worker/hsm/wrap.ts)
 *   CBC_PAD   AES-CBC with PKCS #7 padding; not authenticated: only the row's tag shows a change. Only where an HSM can do
 *             nothing else, and only when the configuration names it.
 */
export const wrapAlgorithms = ['RFC5649', 'AES-GCM', 'CBC_PAD'] as const;
export type WrapAlgorithm = (typeof wrapAlgorithms)[number];

/** An algorithm and the number (CKM_…) that one token uses for it. */
export interface WrapMethod {
  readonly algorithm: WrapAlgorithm;
  readonly mechanism: number;
}

/** As the configuration of a token writes it: without a number, the standard ones are tried. */
export interface WrapChoice {
  readonly algorithm: WrapAlgorithm;
  readonly mechanism?: number | undefined;
}
