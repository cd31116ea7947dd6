import { type Finding, good, problem, warning } from './check.ts';

const noticeableMs = 2_000;
/** Authorisations are judged by this machine's clock: an hour would refuse or admit what it should not. */
const harmfulMs = 60_000;

/**
 * How far another clock is from ours. The other one was read somewhere between two readings of ours; what that leaves
 * open is not counted against it.
 * @param precisionMs what the other clock's text leaves out, e.g. 1000 for the Date header of HTTP.
 */
export function clockFinding(
  whose: string,
  otherMs: number,
  beforeMs: number,
  afterMs: number,
  precisionMs = 0,
): Finding {
  const ahead = Math.max(0, otherMs - afterMs);
  const behind = Math.max(0, beforeMs - (otherMs + precisionMs));
  const differsMs = Math.max(ahead, behind);
  if (differsMs < noticeableMs) return good(`this machine’s clock agrees with that of ${whose}`);
  const seconds = Math.round(differsMs / 1_000);
  const found = `the clock of ${whose} is ${seconds} s ${ahead > 0 ? 'ahead of' : 'behind'} this machine’s`;
  const todo = 'Let all machines follow one time server (chrony, systemd-timesyncd)';
  return differsMs < harmfulMs ? warning(found, todo) : problem(found, todo);
}
