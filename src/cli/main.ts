#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { leaveNoMemoryInCoreDumps } from '../shared/core-dumps.ts';
import { asCodedError, catalogueEntry } from '../shared/errors.ts';
import { exitCodes } from '../shared/exit-codes.ts';
import { version } from '../shared/version.ts';
import type { Command, CommandInput, CommandOption } from './command.ts';

/**
 * `hsm-driver COMMAND --config FILE`. A command's code is loaded when it is asked for: the API never loads the
 * driver's, and nothing here loads a PKCS#11 library.
 */
const commands: Readonly<Record<string, () => Promise<{ command: Command }>>> = {
  run: () => import('./run.ts'),
  api: () => import('./api.ts'),
  'api init': () => import('./api-init.ts'),
  'api service-account create': () => import('./service-account-create.ts'),
  'api service-account list': () => import('./service-account-list.ts'),
  'api service-account disable': () => import('./service-account-disable.ts'),
  'api driver add': () => import('./driver-add.ts'),
  'api driver list': () => import('./driver-list.ts'),
  'api driver revoke': () => import('./driver-revoke.ts'),
  'api requests failed': () => import('./requests-failed.ts'),
  status: () => import('./status.ts'),
  doctor: () => import('./doctor.ts'),
  migrate: () => import('./migrate.ts'),
  init: () => import('./init.ts'),
  ceremony: () => import('./ceremony.ts'),
  qualify: () => import('./qualify.ts'),
  'pin clear': () => import('./pin.ts'),
  'order new': () => import('./order-new.ts'),
  'order sign': () => import('./order-sign.ts'),
  'order show': () => import('./order-show.ts'),
  'order verify': () => import('./order-verify.ts'),
  'self-test': () => import('./self-test.ts'),
};

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
  const input = parse(command, rest);
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

function parse(command: Command, rest: readonly string[]): CommandInput | string {
  const options: Record<string, { type: 'string' | 'boolean' }> = Object.fromEntries(
    command.options.map((option) => [option.name, { type: option.kind === 'text' ? 'string' : 'boolean' }]),
  );
  try {
    const { values } = parseArgs({
      args: [...rest],
      options: { ...options, ...(command.config === undefined ? { config: { type: 'string' } } : {}) },
      strict: true,
    });
    const given: [string, unknown][] = Object.entries(values);
    const text = new Map(given.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
    const switches = new Set(given.filter(([, value]) => value === true).map(([name]) => name));
    const config = command.config === undefined ? text.get('config') : '';
    if (config === undefined) return `${command.name} needs --config FILE`;
    const missing = command.options.find((option) => option.required && !text.has(option.name));
    return missing === undefined ? { config, text, switches } : `${command.name} needs --${missing.name}`;
  } catch (error) {
    return (error as Error).message;
  }
}

function usage(problem: string): number {
  process.stderr.write(`hsm-driver: ${problem}\nSee hsm-driver --help\n`);
  return exitCodes.USAGE.code;
}

async function overview(): Promise<string> {
  const loaded = await Promise.all(Object.values(commands).map(async (load) => (await load()).command));
  const longest = Math.max(...loaded.map(({ name }) => name.length));
  const lines = loaded.map((command) => `  ${command.name.padEnd(longest)} ${command.summary}`);
  const codes = Object.values(exitCodes).map(({ code, meaning }) => `  ${String(code).padEnd(10)} ${meaning}`);
  return `Usage: hsm-driver COMMAND --config FILE\n\nCommands:\n${lines.join('\n')}\n\nExit codes:\n${codes.join('\n')}\n`;
}

function commandHelp(command: Command): string {
  const configOption: CommandOption = {
    name: 'config',
    summary: 'the YAML configuration file',
    required: true,
    kind: 'text',
  };
  const options = command.config === undefined ? [configOption, ...command.options] : command.options;
  const lines = options.map((option) => {
    const left = option.kind === 'text' ? `--${option.name} VALUE` : `--${option.name}`;
    return `  ${left.padEnd(32)} ${option.summary}${option.required ? ' (required)' : ''}`;
  });
  return `Usage: hsm-driver ${command.name}${command.config === undefined ? ' --config FILE' : ''} …\n\n${command.summary}\n\nOptions:\n${lines.join('\n')}\n`;
}
