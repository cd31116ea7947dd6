import type { DriverConfiguration } from '../shared/configuration/driver.ts';

/** What `restore --drill` asks of the process that owns the spare HSM. */
export interface DrillCalls {
  /** Opens the slot as a worker does: PIN guard, master key and canaries proven. */
  open: {
    ask: { configuration: DriverConfiguration; slot: string };
    answer: { token: string; serial: string; masterKeyIds: readonly string[] };
  };
  /** Tag, unwrap, a signature that verifies against the stored public key. */
  prove: { ask: readonly string[]; answer: readonly ProvenKey[] };
}

export interface ProvenKey {
  readonly keyId: string;
  /** Empty when it works. */
  readonly problem: string;
}
