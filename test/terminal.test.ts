import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { readCeremonyFile } from '../src/shared/ceremony-file.ts';
import { runCommand } from './support/command.ts';
import { objectsOn } from './support/objects-on.ts';
import { type AtTerminal, atTerminal, noTerminal } from './support/pseudo-terminal.ts';
import { addToken, backupFor, ceremonyFor, createSoftToken, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** A ceremony as two people hold it: at a terminal, with the keys that people press. */
t.setTimeout(400_000);
const cli = resolve(import.meta.dirname, '../src/cli/main.ts');

async function ready(...names: readonly string[]) {
  const directory = temporaryDirectory(t);
  const ceremonyFile = join(directory, 'ceremony.json');
  const backup = backupFor(ceremonyFile);
  await addToken(backup);
  const slots = [];
  for (const name of names) slots.push(await createSoftToken(t, name));
  const config = join(directory, 'ceremony.yaml');
  writeFileSync(config, JSON.stringify(ceremonyFor(slots, ceremonyFile))); // JSON is YAML
  return { config, ceremonyFile, tokens: [backup, ...slots] };
}

function begin(config: string, ...command: readonly string[]): AtTerminal {
  return atTerminal(t, process.execPath, cli, ...command, '--config', config);
}

async function introduce({ answer }: AtTerminal): Promise<void> {
  await answer('Operator, your name: ', 'Ada\n');
  await answer('Second person, your name: ', 'Grace\n');
}

t.test('two people at a terminal take a key store live in one go', { skip: noTerminal }, async (t) => {
  const { config, ceremonyFile } = await ready('a', 'b');
  const terminal = begin(config, 'ceremony');
  await introduce(terminal);
  await terminal.answer(/Make new keys .*\? \(yes\/no\) /, 'yes\n');
  for (const name of ['backup', 'a', 'b']) {
    await terminal.answer(`digits of what ${name} shows (blanks do not matter): `, ' nonsense\n');
    const shown = new RegExp(`SHA-256 as read on ${name}: ((?:[0-9a-f]{4} ){3}[0-9a-f]{4})`).exec(terminal.screen());
    await terminal.answer('or too little was typed.', `${shown?.[1]}\n`);
  }
  await terminal.answer(/Let nodes work with .*\? \(yes\/no\) /, 'yes\n');
  t.equal(await terminal.ended, 0, terminal.screen());
  const { live, steps } = readCeremonyFile(ceremonyFile);
  t.match(live, { rehearsal: false });
  t.same(
    steps.map(({ step, attended, people }) => [step, attended, people]),
    ['create', 'check', 'go-live'].map((step) => [step, true, ['Ada', 'Grace']]),
  );
  t.match(terminal.screen(), /protocol file .*, SHA-256 [0-9a-f]{64}\n$/, 'what they write down comes last');
});

for (const [what, end, why] of [
  ['Ctrl-C', (terminal: AtTerminal) => terminal.answer(/\(yes\/no\) /, '\x03'), /interrupted by SIGINT/],
  ['Ctrl-D', (terminal: AtTerminal) => terminal.answer(/\(yes\/no\) /, '\x04'), /the terminal was closed/],
  ['“no”', (terminal: AtTerminal) => terminal.answer(/\(yes\/no\) /, 'no\n'), /Ada answered “no”, not “yes”/],
] as const) {
  t.test(`${what} at a question ends the step, and nothing is left`, { skip: noTerminal }, async (t) => {
    const { config, ceremonyFile, tokens } = await ready('a');
    const terminal = begin(config, 'ceremony', 'create');
    await introduce(terminal);
    await end(terminal);
    t.equal(await terminal.ended, 21, terminal.screen());
    t.match(terminal.screen(), why);
    t.notOk(existsSync(ceremonyFile));
    for (const token of tokens) t.same(await objectsOn(token), [], token.name);
  });
}

t.test('a terminal that hangs up ends the step, and nothing is left', { skip: noTerminal }, async (t) => {
  const { config, ceremonyFile, tokens } = await ready('a');
  const terminal = begin(config, 'ceremony', 'create');
  await introduce(terminal);
  await until('the question', () => /\(yes\/no\) /.test(terminal.screen()));
  t.ok(running(config));
  terminal.hangUp();
  await until('its process has ended', () => !running(config));
  t.notOk(existsSync(ceremonyFile));
  for (const token of tokens) t.same(await objectsOn(token), [], token.name);
});

t.test('one person is not two, and says so before any token is opened', { skip: noTerminal }, async (t) => {
  const { config } = await ready('a');
  const terminal = begin(config, 'ceremony', 'create');
  await terminal.answer('Operator, your name: ', 'Ada\n');
  await terminal.answer('Second person, your name: ', 'ada\n');
  t.equal(await terminal.ended, 21);
  t.match(terminal.screen(), /a ceremony takes two people with different names/);
});

t.test('answers from a pipe are nobody’s', async (t) => {
  const { config } = await ready('a');
  const { code, errors } = await runCommand('ceremony', 'create', '--config', config);
  t.equal(code, 21);
  t.match(errors, /nobody is at a terminal; a rehearsal or a script says --yes/);
});

/** Whether a process works with this configuration. */
function running(config: string): boolean {
  return readdirSync('/proc').some((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      return readFileSync(join('/proc', entry, 'cmdline'), 'utf8').includes(config);
    } catch {
      return false; // it has just ended
    }
  });
}
