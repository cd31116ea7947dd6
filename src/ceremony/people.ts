import { CodedError } from '../shared/errors.ts';

/** The people at a ceremony, or the lack of them. */
export interface People {
  /** False: nobody is asked and nobody compares; the protocol says so, and the keys can go live as a rehearsal only. */
  readonly attended: boolean;
  /** The operator, then the second person. */
  readonly names: readonly string[];
  /** The operators’ order for this step, in words, where one was needed: it goes into the record. */
  readonly order?: string;
  /** One line for the people; not recorded. */
  say(line: string): void;
  /** Before anything is changed. @throws CEREMONY_REFUSED when they do not agree. */
  agree(question: string): Promise<void>;
  /**
   * The second person reads the SHA-256 of a transport key on the target and compares it with what the origin will wrap
   * for. @throws CEREMONY_REFUSED when they differ.
   */
  compare(comparison: Comparison): Promise<void>;
  /**
   * The second person hears a SHA-256 from people at another machine and types it here, where it was not shown.
   * @throws CEREMONY_REFUSED when it is another one.
   */
  hear(heard: Heard): Promise<void>;
}

/** What must be the same on two machines. */
export interface Heard {
  readonly what: string;
  /** From where it is to be heard. */
  readonly where: string;
  /** As this machine has it, hex. */
  readonly sha256: string;
}

export interface Comparison {
  /** Name of the target token. */
  readonly target: string;
  /** SHA-256, hex. */
  readonly readOnTarget: string;
  readonly readOnOrigin: string;
}

/** A swapped transport key would hand the master key over: it is compared by the program too, whoever is there. */
export function mustBeSame({ target, readOnTarget, readOnOrigin }: Comparison): void {
  if (readOnTarget === readOnOrigin) return;
  throw new CodedError('CEREMONY_REFUSED', `the origin has another transport key for ${target} than that token made`);
}

/** For rehearsals and scripts. */
export function nobody(say: (line: string) => void): People {
  return {
    attended: false,
    names: [],
    say,
    agree: async (question) => say(`${question} (not asked: --yes)`),
    compare: async (comparison) => mustBeSame(comparison),
    hear: async ({ what, sha256 }) => say(`${what}, SHA-256 ${sha256} (compared by nobody: --yes)`),
  };
}
