/** One command of `hsm-driver`: a file of its own, listed in commands.ts. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** One call as a person would type it; --help shows it, and a test parses it. */
  readonly example: string;
  /** Left out: --config FILE is required. */
  readonly config?: 'not needed';
  /** Options beside --config and --help. */
  readonly options: readonly CommandOption[];
  /** @throws CodedError: its catalogue entry gives the exit code. */
  readonly run: (input: CommandInput) => Promise<void>;
}

export interface CommandOption {
  readonly name: string;
  readonly summary: string;
  readonly required: boolean;
  readonly kind: 'text' | 'switch';
}

export interface CommandInput {
  /** Path given with --config; '' where the command needs none. */
  readonly config: string;
  /** Text options that were given. */
  readonly text: ReadonlyMap<string, string>;
  readonly switches: ReadonlySet<string>;
}
