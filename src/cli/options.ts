import { parseArgs } from 'node:util';
import type { Command, CommandInput, CommandOption } from './command.ts';

/** What a person gave to a command, or the sentence that says what is wrong with it. */
export function readOptions(command: Command, rest: readonly string[]): CommandInput | string {
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

/** What `--help` prints. */
export function commandHelp(command: Command): string {
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
  return `Usage: hsm-driver ${command.name}${command.config === undefined ? ' --config FILE' : ''} …\n\n${command.summary}\n\nOptions:\n${lines.join('\n')}\n\nExample:\n  ${command.example}\n`;
}
