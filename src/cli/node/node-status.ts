import type { NodeStatus } from '../../primary/operations/status.ts';
import type { DriverConfiguration } from '../../shared/configuration/driver.ts';
import { CodedError } from '../../shared/errors.ts';

const patienceMs = 5_000;

/** The status page of the node that runs with this configuration. @throws NODE_NOT_ANSWERING */
export async function askNodeStatus({
  host,
  port,
}: NonNullable<DriverConfiguration['operations']>): Promise<NodeStatus> {
  const page = new URL(`http://${reachedAt(host)}:${port}/status`);
  try {
    const answer = await fetch(page, { signal: AbortSignal.timeout(patienceMs) });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    return (await answer.json()) as NodeStatus;
  } catch (error) {
    const { cause, message } = error as Error;
    const why = (cause as NodeJS.ErrnoException | undefined)?.code ?? message;
    throw new CodedError('NODE_NOT_ANSWERING', `${page.origin} (${why})`, { cause: error });
  }
}

/** Where a server that listens everywhere is reached. */
function reachedAt(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
