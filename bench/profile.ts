import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { repository } from '../scripts/local/places.ts';
import { fromSources } from '../scripts/local/processes.ts';
import { createReleasers } from '../src/shared/releasers.ts';
import type { LoadCurve } from './load/calls.ts';
import { runSystem } from './measure/system-run.ts';
import { readPlan } from './plan.ts';
import { type CpuProfile, foldedText, shares, stacksOf } from './profile/cpu-profile.ts';
import { openStage } from './stage.ts';

/**
 * `npm run profile`: the system under load, each of its threads with V8's CPU profiler. Leaves .cpuprofile files (for the
 * browser's developer tools) and .folded files (for flame graph programs), and prints where the time went.
 *
 *   --curve ed25519     default: secp256k1
 *   --seconds N         of load, default 10
 *   --out DIR           default: .local/profile
 */
const { values } = parseArgs({
  options: {
    curve: { type: 'string', default: 'secp256k1' },
    seconds: { type: 'string', default: '10' },
    out: { type: 'string', default: join(repository, '.local/profile') },
  },
});
const curve: LoadCurve = values.curve === 'ed25519' ? 'ed25519' : 'secp256k1';
const out = resolve(values.out);
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const { module } = JSON.parse(readFileSync(join(repository, '.cache/setup/facts.json'), 'utf8')) as { module: string };
const plan = readPlan(['--quick']);
const releasers = createReleasers((what, error) => say(`${what} did not stop: ${(error as Error).message}`));
const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-profile-'));
let done = 0;
try {
  const [node = '', ...rest] = fromSources;
  const profiler = [node, '--cpu-prof', `--cpu-prof-dir=${out}`, '--cpu-prof-interval=500', ...rest];
  const stage = await openStage(plan, directory, module, releasers, profiler);
  const request = { kind: 'sign', keys: await stage.keys(curve, plan.keys) } as const;
  const { result } = await runSystem(stage, {
    request,
    pace: { inFlight: plan.inFlight },
    ms: Number(values.seconds) * 1_000,
  });
  done = result.done;
  say(`${curve}: ${done} signatures, ${Math.round(result.perSecond)}/s; the profiles hold start and end too`);
} finally {
  // A profile is written when its process ends.
  await releasers.release();
  rmSync(directory, { recursive: true, force: true });
}

const profiles = readdirSync(out)
  .filter((name) => name.endsWith('.cpuprofile'))
  .map((name) => ({
    name,
    stacks: stacksOf(JSON.parse(readFileSync(join(out, name), 'utf8')) as CpuProfile),
  }))
  .map((one) => ({ ...one, totalMs: shares(one.stacks, () => []).total }))
  .sort((a, b) => b.totalMs - a.totalMs);
for (const { name, stacks, totalMs } of profiles.slice(0, 4)) {
  const folded = join(out, name.replace('.cpuprofile', '.folded'));
  writeFileSync(folded, foldedText(stacks));
  say(`\n${name}: ${Math.round(totalMs)} ms busy, ${(totalMs / done).toFixed(3)} ms a signature; ${folded}`);
  const own = shares(stacks, (stack) => [stack.findLast(({ where }) => where.includes('src/'))?.where ?? 'not ours']);
  const self = shares(stacks, (stack) => {
    const last = stack.at(-1);
    return last === undefined ? [] : [`${last.name}  ${last.where}`];
  });
  say('  with what it calls, by the innermost function of this program');
  for (const [what, ms] of own.sums.slice(0, 14)) say(line(what, ms, totalMs));
  say('  by itself');
  for (const [what, ms] of self.sums.slice(0, 14)) say(line(what, ms, totalMs));
}
process.exit();

function line(what: string, ms: number, totalMs: number): string {
  return `  ${((100 * ms) / totalMs).toFixed(1).padStart(6)} %  ${what}`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
