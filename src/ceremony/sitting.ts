import type { CeremonyConfiguration, CeremonyTokenConfiguration } from '../shared/configuration/ceremony.ts';
import { checkSecretFile } from '../shared/configuration/secret-file.ts';
import { CodedError } from '../shared/errors.ts';
import { type Child, startChild } from './child.ts';
import type { PinRecord } from './log-in-once.ts';
import { inTurn, type Participant, refuseSameToken } from './participants.ts';
import type { TokenCalls } from './token-calls.ts';

/**
 * One sitting of a ceremony: its tokens are opened, each in a process of its own, and work is done with them. This process
 * coordinates and never loads a module. When the work fails or is interrupted, what it put on tokens is removed.
 * @throws what opening a token throws, what the work throws, CEREMONY_REFUSED when it is interrupted
 */
export async function holdSitting<Result>(
  tokens: readonly CeremonyTokenConfiguration[],
  { stateDirectory, database }: Pick<CeremonyConfiguration, 'stateDirectory' | 'database'>,
  work: (participants: readonly Participant[]) => Promise<Result>,
): Promise<Result> {
  for (const token of tokens) checkSecretFile(token.pinFile, `token ${token.name} pinFile`);
  const record: PinRecord = { stateDirectory, database, node: 'ceremony' };
  const started: { readonly token: CeremonyTokenConfiguration; readonly child: Child<TokenCalls> }[] = [];
  let participants: readonly Participant[] = [];
  const interruption = onInterruption();
  try {
    for (const token of tokens) {
      started.push({ token, child: startChild<TokenCalls>('token-process', `token ${token.name}`, token.environment) });
    }
    const all = async (): Promise<Result> => {
      const infos = await inTurn(started, ({ child, token }) => child.ask('open', { token, record }));
      participants = infos.flatMap((info, index) => {
        const one = started[index];
        return one === undefined ? [] : [{ ...one, info, mayHold: [] }];
      });
      refuseSameToken(participants);
      return await work(participants);
    };
    return await Promise.race([all(), interruption.promise]);
  } catch (error) {
    // First all token processes end: session objects go with them, and a new login must not race with an old one.
    await Promise.all(started.map(({ child }) => child.stop()));
    const left = await removeEverything(participants, record);
    if (left.length === 0) throw error;
    const why = error instanceof CodedError ? `${error.code}: ${error.detail}` : String(error);
    throw new CodedError('CEREMONY_REFUSED', `${why}. ${left.join('. ')}`, { cause: error });
  } finally {
    interruption.release();
    await Promise.all(started.map(({ child }) => child.stop()));
  }
}

/** Ctrl-C must not leave keys behind: it fails the sitting, which then removes them. The children ignore it. */
function onInterruption(): { readonly promise: Promise<never>; release(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {}); // when the ceremony has failed by itself already
  const interrupt = (signal: NodeJS.Signals): void =>
    reject(new CodedError('CEREMONY_REFUSED', `interrupted by ${signal}`));
  for (const signal of interruptions) process.on(signal, interrupt);
  return {
    promise,
    release: () => {
      for (const signal of interruptions) process.off(signal, interrupt);
    },
  };
}

const interruptions = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** @returns what could not be removed, as sentences for the operator. */
async function removeEverything(participants: readonly Participant[], record: PinRecord): Promise<string[]> {
  const left: string[] = [];
  for (const { token, mayHold } of participants) {
    if (mayHold.length === 0) continue;
    const child = startChild<TokenCalls>('token-process', `token ${token.name}`, token.environment);
    try {
      await child.ask('open', { token, record });
      await child.ask('clean-up', mayHold);
    } catch (error) {
      const ids = mayHold.map(({ ckaId }) => ckaId).join(' and ');
      left.push(
        `On token ${token.name} objects with CKA_ID ${ids} may be left (${(error as Error).message}): remove them by hand`,
      );
    } finally {
      await child.stop();
    }
  }
  return left;
}
