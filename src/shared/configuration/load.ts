import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { CodedError } from '../errors.ts';

/**
 * Reads a YAML configuration file and checks it whole: unknown keys are errors, and every problem is reported at once,
 * each with its path in the file. Members whose name ends in `File`, `Files` or `Directory` (and `module`) are paths relative
 * to the file and come back absolute.
 * @throws CONFIG_UNREADABLE, CONFIG_INVALID
 */
export function loadConfiguration<Schema extends z.ZodType>(file: string, schema: Schema): z.infer<Schema> {
  const source = readConfiguration(file);
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, uniqueKeys: true });
  if (document.errors.length > 0) {
    throw invalid(
      file,
      document.errors.map((error) => `line ${error.linePos?.[0].line ?? '?'}: ${error.message.split('\n')[0]}`),
    );
  }
  const result = schema.safeParse(document.toJS());
  if (!result.success) throw invalid(file, problems(result.error));
  return withAbsolutePaths(result.data, dirname(resolve(file))) as z.infer<Schema>;
}

function readConfiguration(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CodedError('CONFIG_UNREADABLE', `${file} (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`, {
      cause,
    });
  }
}

function invalid(file: string, found: readonly string[]): CodedError {
  return new CodedError(
    'CONFIG_INVALID',
    `${file} has ${found.length} problem${found.length === 1 ? '' : 's'}: ${found.join('; ')}`,
  );
}

function problems(error: z.ZodError): string[] {
  return error.issues.flatMap((issue) => {
    const at = pathText(issue.path);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => `${at === '' ? key : `${at}.${key}`}: there is no such key`);
    }
    return [`${at === '' ? 'the file' : at}: ${issue.message}`];
  });
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${String(part)}`))
    .join('');
}

function withAbsolutePaths(value: unknown, base: string): unknown {
  if (Array.isArray(value)) return value.map((item) => withAbsolutePaths(item, base));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      isPath(key, member) ? resolve(base, member) : withAbsolutePaths(pathsOf(key, member, base), base),
    ]),
  );
}

function isPath(key: string, member: unknown): member is string {
  return typeof member === 'string' && (key === 'module' || /(File|Directory)$/.test(key));
}

/** A list of paths is a member whose name ends in `Files`. */
function pathsOf(key: string, member: unknown, base: string): unknown {
  if (!/Files$/.test(key) || !Array.isArray(member)) return member;
  return member.map((one) => (typeof one === 'string' ? resolve(base, one) : one));
}
