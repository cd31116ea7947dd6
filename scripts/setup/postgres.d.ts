export interface PostgresOptions {
  /** Made when it does not exist. Beside it lie `<dataDirectory>.password` (0600), `.log` and `.owner`. */
  dataDirectory: string;
  /** Default: a free one. */
  port?: number;
  /** Default true. False (tests only): no fsync, so that a crash of the machine may break the database. */
  durable?: boolean;
  /** Told, one line each, what is unusual about this start. */
  log?: (line: string) => void;
}

export interface PostgresServer {
  host: '127.0.0.1';
  port: number;
  /** Process id of the server (postmaster). */
  pid: number;
  superuser: 'postgres';
  superuserPassword: string;
  /** Where the data really is: not the one asked for where PostgreSQL's user could not have reached that. */
  dataDirectory: string;
  logFile: string;
  passwordFile: string;
  /** Settles when the server has ended, for whatever reason; never rejects. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null; error?: Error }>;
  /** Fast shutdown: ends all sessions, writes everything down, waits until it is gone. May be called more than once. */
  stop(): Promise<void>;
}

/**
 * Starts a PostgreSQL server of our own on 127.0.0.1 (scram-sha-256, no unix socket). Works as root too, by running it as
 * another user. It is stopped by the kernel when the thread that called this ends, even by SIGKILL. One process at a time
 * may use a data directory; what an earlier, killed run left on it is stopped first.
 */
export function startPostgres(options: PostgresOptions): Promise<PostgresServer>;
