/**
 * Start-up of several processes on one token is serialised, from C_Initialize to the end of C_Login: some tokens race
 * there (SoftHSM 2.6.1 answers CKR_GENERAL_ERROR, or its label is missing for a moment). First come, first served.
 */
export interface StartUpTurns {
  /** `grant` is called when it is this holder's turn, at once if nobody has it. */
  want(token: string, holder: object, grant: () => void): void;
  /** The turn is over, or its holder is gone, waiting or not: the next one is granted. */
  end(holder: object): void;
}

interface Waiting {
  readonly holder: object;
  readonly grant: () => void;
}

export function createStartUpTurns(): StartUpTurns {
  /** By token; the first of a line has the turn. */
  const lines = new Map<string, Waiting[]>();
  return {
    want(token, holder, grant) {
      const line = lines.get(token) ?? [];
      lines.set(token, line);
      line.push({ holder, grant });
      if (line.length === 1) grant();
    },
    end(holder) {
      for (const [token, line] of lines) {
        const at = line.findIndex((waiting) => waiting.holder === holder);
        if (at === -1) continue;
        line.splice(at, 1);
        if (line.length === 0) lines.delete(token);
        else if (at === 0) line[0]?.grant();
      }
    },
  };
}
