import { asCodedError, type CodedError, catalogueEntry } from '../shared/errors.ts';
import { exitCodes } from '../shared/exit-codes.ts';
import type { Log } from '../shared/log.ts';
import type { Releasers } from '../shared/releasers.ts';
import type { PrimaryLink } from './primary-link.ts';

/** Why a worker ends. The first reason counts; a second one during the end is only logged. */
export type Ending =
  | { readonly why: 'asked' }
  | { readonly why: 'fault'; readonly error: CodedError }
  /** Without a primary nobody would end or replace this process: it does what it can for a moment and is gone. */
  | { readonly why: 'orphaned' };

/** How long an orphan may still report what is journaled. */
const orphanMs = 1_000;

/** Registers what may end this process, before anything else runs. */
export function listenForEnd(end: (ending: Ending) => void): void {
  process.on('SIGTERM', () => end({ why: 'asked' }));
  // Ctrl-C and a terminal's end reach the whole process group; the primary decides what they mean.
  process.on('SIGINT', () => {});
  process.on('SIGHUP', () => {});
  process.on('uncaughtException', (thrown) => end({ why: 'fault', error: asCodedError(thrown) }));
  process.on('unhandledRejection', (thrown) => end({ why: 'fault', error: asCodedError(thrown) }));
}

/** Releases everything and ends the process. */
export async function leave(ending: Ending, releasers: Releasers, link: PrimaryLink, log: Log): Promise<void> {
  switch (ending.why) {
    case 'asked':
      break;
    case 'fault': {
      const { code, detail, cause } = ending.error;
      const unexpected = code === 'INTERNAL' && cause instanceof Error ? { stack: cause.stack } : {};
      log.error({ code, cause: detail, ...unexpected }, 'worker ends');
      await link.deliver({ type: 'fault', code, message: detail });
      break;
    }
    case 'orphaned':
      log.error('the primary is gone; worker ends');
      setTimeout(kill, orphanMs);
      break;
    default:
      throw new Error(`unknown: ${ending satisfies never}`);
  }
  const inTime = await releasers.release();
  // process.exit waits for native calls, and one that hangs never returns.
  if (!inTime || ending.why === 'orphaned') kill();
  process.exit(exitCodes[ending.why === 'fault' ? (catalogueEntry(ending.error.code).exit ?? 'INTERNAL') : 'OK'].code);
}

function kill(): void {
  process.kill(process.pid, 'SIGKILL');
}
