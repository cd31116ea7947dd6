import type { Curve } from '../../shared/keys.ts';

/** A wallet key as a session opens it. */
export interface OpenableKey {
  /** For errors, e.g. `key key-abc…`. */
  readonly named: string;
  readonly masterKeyId: string;
  readonly curve: Curve;
  readonly blob: Buffer;
}
