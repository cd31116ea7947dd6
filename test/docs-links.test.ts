import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { repository } from '../scripts/local/places.ts';

/** The pages for who installs and operates it lead somewhere. */
const pages = [
  'README.md',
  ...readdirSync(join(repository, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /^(deployment|runbook|hsm)\//.test(name))
    .map((name) => join('docs', name)),
].filter((name) => name.endsWith('.md'));

t.test('every relative link of every page leads to a file', async (t) => {
  t.ok(pages.length > 30);
  let seen = 0;
  for (const page of pages) {
    const text = readFileSync(join(repository, page), 'utf8').replace(/```[\s\S]*?```/g, '');
    for (const [, link = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?:|#|mailto:)/.test(link)) continue;
      seen += 1;
      t.ok(existsSync(join(repository, dirname(page), link.split('#')[0] ?? '')), `${page}: ${link}`);
    }
  }
  t.ok(seen > 60);
});

t.test('every command of ours on a page of deployment is one that there is', async (t) => {
  const { commands } = await import('../src/cli/commands.ts');
  let seen = 0;
  for (const page of pages.filter((name) => /^docs\/(deployment|runbook)\//.test(name))) {
    const text = readFileSync(join(repository, page), 'utf8');
    for (const [, words = ''] of text.matchAll(/(?:hsm-driver|\$H) ((?:[a-z][a-z-]+ ?)+)/g)) {
      const given = words.trim().split(' ');
      const known = Object.keys(commands).some((name) => given.slice(0, name.split(' ').length).join(' ') === name);
      if (
        !/^(run|api|migrate|ceremony|status|doctor|qualify|keys|rotate|backup|restore|self-test|certificate|pin|order|init|guard)$/.test(
          given[0] ?? '',
        )
      )
        continue;
      seen += 1;
      t.ok(known, `${page}: hsm-driver ${words}`);
    }
  }
  t.ok(seen > 20);
});
