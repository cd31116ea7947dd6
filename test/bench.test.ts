import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { summary } from '../bench/measure/summary.ts';
import { trend } from '../bench/measure/trend.ts';
import { comparisonText } from '../bench/report/compare.ts';
import type { Report } from '../bench/report/figures.ts';
import { pageWith } from '../bench/report/page.ts';
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

t.test('the page of measurements takes the sections of a run and keeps the others', async (t) => {
  const machine = {
    ...{ date: '2026-01-02T03:04:05.678Z', commit: 'abc', cpu: 'CPU', cores: 2, memoryGb: 4, system: 'Linux' },
    ...{ node: 'v26', openssl: '3', module: 'lib.so', loadBefore: 0 },
  };
  const section = (title: string, sample: number): Report => ({
    machine,
    sections: [
      {
        title,
        about: 'About it.',
        figures: [{ id: 'x', what: 'rate', unit: '/s', samples: [sample], target: { least: 5 } }],
      },
    ],
  });
  const page = pageWith(pageWith(pageWith('', section('One', 1)), section('Two', 2)), section('One', 7));
  t.same(page.match(/^## .*$/gm), ['## One', '## Two']);
  t.match(page, /\| rate \| 7\.000 \/s .* ≥ 5 \/s \| met \|/);
  t.match(page, /\| rate \| 2\.000 \/s .* ≥ 5 \/s \| \*\*missed\*\* \|/);
  t.notMatch(page, /1\.000/);
  t.equal(pageWith(page, { machine, sections: [] }), page);
});

t.test('growth is told apart from noise', async (t) => {
  const hours = Array.from({ length: 60 }, (_, at) => at / 60);
  const noise = (at: number): number => 3 * Math.sin(at * 7);
  const rising = trend(hours.map((x, at) => ({ x, y: 100 + 20 * x + noise(at) })));
  const flat = trend(hours.map((x, at) => ({ x, y: 100 + noise(at) })));
  t.ok(rising.slope - 2 * rising.error > 10, 'twenty megabytes an hour are seen');
  t.ok(flat.slope - 2 * flat.error <= 0, 'nothing is seen where nothing grows');
});
