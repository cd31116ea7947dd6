import type { Test } from 'tap';

/**
 * Begins to measure a time that operators were promised; what it gives back ends that and judges it.
 *
 * Each run says the time, but only `npm run test:timed` holds it to its limit: there one test has the machine to itself. In
 * `npm test` others share its processors, and a late test would say nothing about the program.
 */
export function startTimer(t: Test): (what: string, limitMs: number) => void {
  const began = performance.now();
  return (what, limitMs) => {
    const ms = Math.round(performance.now() - began);
    const said = `${what}: ${ms} ms, at most ${limitMs} ms promised`;
    if (process.env.HSM_TESTS_TIMED === '1') t.ok(ms <= limitMs, said);
    else t.comment(said);
  };
}
