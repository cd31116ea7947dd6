import { startChild } from './child.ts';

/**
 * Initialises a new token in a software module (SoftHSM): label, security officer's PIN, user PIN. For the installation
 * on one machine and for tests; a real HSM's partition is initialised with its vendor's tools.
 */
export interface SoftToken {
  readonly module: string;
  /** What the module reads, e.g. SOFTHSM2_CONF. */
  readonly environment: Readonly<Record<string, string>>;
  readonly label: string;
  readonly soPin: string;
  readonly pin: string;
}

/** What its process is asked (initialise-token-process.ts). */
export interface InitialiseCalls {
  initialise: { ask: Omit<SoftToken, 'environment'>; answer: { serial: string } };
}

/**
 * In a process of its own: the module reads its environment once per process, and must not stay loaded in the caller.
 * @returns the serial number the token was given.
 * @throws MODULE_NOT_LOADED, TOKEN_AMBIGUOUS (the label is taken), HSM_…
 */
export async function initialiseSoftToken({ environment, ...token }: SoftToken): Promise<{ serial: string }> {
  const child = startChild<InitialiseCalls>('initialise-token-process', `token “${token.label}”`, environment);
  try {
    return await child.ask('initialise', token);
  } finally {
    await child.stop();
  }
}
