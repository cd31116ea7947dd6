#!/usr/bin/env node
import { leaveNoMemoryInCoreDumps } from '../shared/core-dumps.ts';
import { asCodedError, catalogueEntry } from '../shared/errors.ts';
import { exitCodes } from '../shared/exit-codes.ts';
import { version } from '../shared/version.ts';
import { commands } from './commands.ts';
import { commandHelp, readOptions } from './options.ts';

/** `hsm-driver COMMAND --config FILE`: finds the command, reads its options, and turns errors into exit codes. */
leaveNoMemoryInCoreDumps();
process.exitCode = await main(process.argv.slice(2));

async function main(given: readonly string[]): Promise<number> {
  const { name, rest } = split(given);
  if (name === '' && rest[0] === '--version') {
    process.stdout.write(`${version()}\n`);
    return exitCodes.OK.code;
  }
  if (name === 'help' || (name === '' && (rest.length === 0 || rest[0] === '--help' || rest[0] === '-h'))) {
    process.stdout.write(await overview());
    return given.length === 0 ? exitCodes.USAGE.code : exitCodes.OK.code;
  }
  const load = commands[name];
  if (load === undefined)
    return usage(`there is no command ${JSON.stringify(name)}; the commands are ${Object.keys(commands).join(', ')}`);
  const { command } = await load();
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(commandHelp(command));
    return exitCodes.OK.code;
  }
  const input = readOptions(command, rest);
  if (typeof input === 'string') return usage(input);
  try {
    await command.run(input);
    return exitCodes.OK.code;
  } catch (thrown) {
    const error = asCodedError(thrown);
    process.stderr.write(`${error.code}: ${error.message}\n`);
    // A defect deserves its stack; a mistake of a person does not.
    if (error.code === 'INTERNAL' && error.cause instanceof Error) process.stderr.write(`${error.cause.stack}\n`);
    return exitCodes[catalogueEntry(error.code).exit ?? 'INTERNAL'].code;
  }
}

/** A command's name is all words before the first option: `api driver add --config FILE`. */
function split(given: readonly string[]): { name: string; rest: readonly string[] } {
  const option = given.findIndex((word) => word.startsWith('-'));
  const end = option === -1 ? given.length : option;
  return { name: given.slice(0, end).join(' '), rest: given.slice(end) };
}

function usage(problem: string): number {
  process.stderr.write(`hsm-driver: ${problem}\nSee hsm-driver --help\n`);
  return exitCodes.USAGE.code;
}

async function overview(): Promise<string> {
  const loaded = await Promise.all(Object.values(commands).map(async (load) => (await load()).command));
  const longest = Math.max(...loaded.map(({ name }) => name.length));
  const lines = loaded.map((command) => `  ${command.name.padEnd(longest)}  ${command.summary}`);
  const codes = Object.values(exitCodes).map(({ code, meaning }) => `  ${String(code).padEnd(10)} ${meaning}`);
  return `Usage: hsm-driver COMMAND --config FILE\n\nCommands:\n${lines.join('\n')}\n\nExit codes:\n${codes.join('\n')}\n`;
}
