import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { summary } from '../bench/measure/summary.ts';
import { comparisonText } from '../bench/report/compare.ts';
import type { Report } from '../bench/report/figures.ts';
import { temporaryDirectory } from './support/soft-token.ts';

/** That the bench measures at all; what it measures is no test. */
const root = join(import.meta.dirname, '..');

t.test('a run prints its table with machine, spread and targets, and writes its samples', async (t) => {
  const json = join(temporaryDirectory(t), 'report.json');
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(root, 'bench/main.ts'), '--smoke', '--only', 'system,authorisation', '--json', json],
    { cwd: root },
  );
  t.match(stdout, /cores, \d+ GB/);
  t.match(stdout, /secp256k1, system ÷ raw loop .* ≥ 65 %/);
  t.match(stdout, /all but PKCS#11 and load .* ≤ 0.5 ms/);
  t.match(stdout, /enforced − off: a hash by a key, Ed25519 credential .* ≤ 0.2 ms/);
  const report = JSON.parse(readFileSync(json, 'utf8')) as Report;
  const figures = report.sections.flatMap((section) => section.figures);
  for (const { id, samples } of figures) {
    t.ok(samples.length > 0 && samples.every((sample) => Number.isFinite(sample)), id);
  }
  const rates = figures.filter(({ unit }) => unit === '/s');
  t.ok(rates.length >= 4 && rates.every(({ samples }) => (samples[0] ?? 0) > 0), 'things were done');
  t.match(comparisonText(report, report), /secp256k1, raw loop: .*\+0\.0 % \(within the spread\)/);
});

t.test('the spread is half the distance between the quartiles, as a share of the median', async (t) => {
  t.match(summary([100, 90, 110, 80, 120]), { median: 100, least: 80, most: 120, spread: 0.1, samples: 5 });
  t.equal(summary([7]).spread, 0);
});
