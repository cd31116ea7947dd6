import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { repository } from './places.ts';

/** How long a process may take to stop before it is killed: drivers, API and database in turn stay below 5 s. */
export const stopMs = 2_000;

export interface LocalProcess {
  readonly name: string;
  readonly pid: number;
  /** Settles with the exit code when the process ends by itself or is stopped. */
  readonly exited: Promise<number>;
  /** The first log line whose message is `sentence`; rejects when the process ends before. */
  line(sentence: string): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** The first words of every command of `hsm-driver`: from the sources, or a binary, or one inside an image. */
export type Program = readonly string[];

export const fromSources: Program = sourcesOf(repository);
/** What `npm run build` made, as it is deployed. */
export const fromBuild: Program = [process.execPath, '--disable-sigusr1', join(repository, 'dist/cli/main.js')];

function sourcesOf(tree: string): Program {
  return [process.execPath, '--disable-sigusr1', join(tree, 'src/cli/main.ts')];
}

/** For tests: where a process runs other than here and now. */
export interface Surroundings {
  /** Another version of this repository, whatever `program` says. */
  readonly sources?: string;
  /** A build, a binary, or a program inside an image, instead of the sources. */
  readonly program?: Program | undefined;
  /** What stands before the command: another network, another clock. */
  readonly via?: readonly string[];
}

/**
 * Starts one `hsm-driver` process as an operator would, with its log in a file. It has a process group of its own, so
 * that Ctrl-C reaches only us and everything stops in order; on Linux the kernel ends it when we are killed.
 */
export function startDriverProcess(
  name: string,
  args: readonly string[],
  logFile: string,
  { sources, via = [], program: packaged = fromSources }: Surroundings = {},
): LocalProcess {
  mkdirSync(dirname(logFile), { recursive: true });
  const log = createWriteStream(logFile, { flags: 'a' });
  const hsmDriver = sources === undefined ? packaged : sourcesOf(sources);
  const command = [...via, ...hsmDriver, ...args];
  const [program = '', ...rest] = onItsOwn(command);
  const child = spawn(program, rest, {
    cwd: sources ?? repository,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE },
  });
  const waiting = new Map<string, PromiseWithResolvers<Record<string, unknown>>>();
  const seen = new Map<string, Record<string, unknown>>();
  let lastErrors = '';
  readLines(child, log, (line) => {
    const sentence = line.msg;
    if (typeof sentence !== 'string') return;
    seen.set(sentence, line);
    waiting.get(sentence)?.resolve(line);
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    lastErrors = (lastErrors + chunk.toString('utf8')).slice(-2_000);
  });

  const exited = new Promise<number>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
  });
  void exited.then((code) => {
    for (const one of waiting.values())
      one.reject(new Error(`${name} ended with exit code ${code}: ${lastErrors.trim() || `see ${logFile}`}`));
  });

  return {
    name,
    pid: child.pid ?? -1,
    exited,
    line(sentence) {
      const before = seen.get(sentence);
      if (before !== undefined) return Promise.resolve(before);
      const resolvers = Promise.withResolvers<Record<string, unknown>>();
      waiting.set(sentence, resolvers);
      return resolvers.promise;
    },
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => killGroup(child.pid), stopMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** The process and what it started: a primary that was too slow to stop must not leave its workers to find out alone. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended in this moment.
  }
}

/**
 * A command that runs as if a service manager had started it: without the NODE_OPTIONS of whoever is around (a test
 * runner puts its own into every child, however the environment is given), and on Linux ended by the kernel with us.
 */
export function onItsOwn(command: readonly string[]): string[] {
  const ended = process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'TERM', '--'] : [];
  return [...ended, 'env', '-u', 'NODE_OPTIONS', ...command];
}

function readLines(
  child: ChildProcess,
  log: NodeJS.WritableStream,
  read: (line: Record<string, unknown>) => void,
): void {
  child.stderr?.on('data', (chunk: Buffer) => log.write(chunk));
  if (child.stdout === null) return;
  createInterface({ input: child.stdout }).on('line', (line) => {
    log.write(`${line}\n`);
    try {
      read(JSON.parse(line) as Record<string, unknown>);
    } catch {
      // Not a log line of ours: it is in the file.
    }
  });
}

/** Runs a command of `hsm-driver` to its end; its standard output. */
export async function runCommand(args: readonly string[], hsmDriver: Program = fromSources): Promise<string> {
  const [program = '', ...rest] = hsmDriver;
  const child = spawn(program, [...rest, ...args], {
    cwd: repository,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString('utf8');
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`hsm-driver ${args[0]} ended with exit code ${code}: ${errors.trim()}`);
  return output;
}
