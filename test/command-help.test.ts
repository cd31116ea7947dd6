import t from 'tap';
import { commands } from '../src/cli/commands.ts';
import { commandHelp, readOptions } from '../src/cli/options.ts';

/** What `--help` says must be true: a command is what it is listed as, and its example is one that it takes. */

/** As a shell splits it: words, and double quotes around some; what is behind a pipe or an arrow is not ours. */
function split(line: string): string[] {
  const [ours = ''] = line.split(/ [|>] /);
  return [...ours.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

for (const [name, load] of Object.entries(commands)) {
  t.test(`${name}: the help has a summary and an example that the command takes`, async (t) => {
    const { command } = await load();
    t.equal(command.name, name);
    t.match(commandHelp(command), command.summary);
    t.match(commandHelp(command), command.example);
    t.ok(command.example.startsWith(`hsm-driver ${name} `), command.example);
    const input = readOptions(command, split(command.example).slice(1 + name.split(' ').length));
    t.type(input, 'object', String(input));
  });
}

t.test('an option that does not exist, one without its value, and one that is missing are refused', async (t) => {
  const { command } = await import('../src/cli/api/driver-add.ts');
  t.match(readOptions(command, ['--config', 'x', '--colour', 'red']), /--colour/);
  t.match(readOptions(command, ['--config']), /--config/);
  t.equal(readOptions(command, ['--config', 'x', '--node', 'n']), 'api driver add needs --key-store');
  t.equal(readOptions(command, ['--node', 'n', '--key-store', 'k']), 'api driver add needs --config FILE');
});
