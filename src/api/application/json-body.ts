import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { CodedError } from '../../shared/errors.ts';

/** A request's body: the text that arrived, and what it says. */
export interface JsonBody {
  readonly text: string;
  readonly value: unknown;
}

export const noBody: JsonBody = { text: '', value: undefined };

/** Deeper than any body of this API; keeps hostile ones from filling the stack of what walks them. */
const deepest = 32;

/**
 * Reads a body strictly: UTF-8; no member twice, because signer and reader might each take another one; no
 * `__proto__`; no character that PostgreSQL cannot keep (NUL, half a surrogate pair).
 * @throws BAD_REQUEST
 */
export function readJsonBody(bytes: Buffer): JsonBody {
  const text = utf8Text(bytes);
  if (text === '') return noBody;
  const value = parsed(text);
  const members = countMembers(value, deepest);
  if (members !== writtenMembers(text)) throw new CodedError('BAD_REQUEST', 'the body has a member twice');
  return { text, value };
}

/**
 * The value as the schema describes it.
 * @throws BAD_REQUEST naming every problem.
 */
export function conforming<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new CodedError('BAD_REQUEST', result.error.issues.map(problem).join('; '));
}

/** SHA-256 over a path and a body, whatever the order of the body's members and the spaces in it. 32 bytes. */
export function fingerprint(path: string, value: unknown): Buffer {
  return createHash('sha256')
    .update(`${path}\n${canonicalJson(value)}`, 'utf8')
    .digest();
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? '';
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join()}}`;
}

function utf8Text(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CodedError('BAD_REQUEST', 'the body is not UTF-8', { cause });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CodedError('BAD_REQUEST', 'the body is not JSON', { cause });
  }
}

/** How many members all objects of a value have; checks their names and all texts on the way. */
function countMembers(value: unknown, depth: number): number {
  if (typeof value === 'string') return requireStorable(value);
  if (typeof value !== 'object' || value === null) return 0;
  if (depth === 0) throw new CodedError('BAD_REQUEST', `the body is nested deeper than ${deepest} levels`);
  if (Array.isArray(value)) return value.reduce<number>((count, item) => count + countMembers(item, depth - 1), 0);
  return Object.entries(value).reduce((count, [name, member]) => {
    if (name === '__proto__') throw new CodedError('BAD_REQUEST', 'the body has a member __proto__');
    return count + requireStorable(name) + 1 + countMembers(member, depth - 1);
  }, 0);
}

function requireStorable(text: string): 0 {
  if (text.includes('\0') || !text.isWellFormed())
    throw new CodedError('BAD_REQUEST', 'the body has a text that is not valid Unicode, or NUL');
  return 0;
}

/** In valid JSON every string with a colon behind it is a member's name. */
function writtenMembers(text: string): number {
  let count = 0;
  for (const [, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"\s*(:)?/g)) if (colon !== undefined) count += 1;
  return count;
}

function problem(issue: z.core.$ZodIssue): string {
  const at = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys')
    return `there is no member ${issue.keys.map((key) => (at === '' ? key : `${at}.${key}`)).join(', ')}`;
  return `${at === '' ? 'the body' : at}: ${issue.message}`;
}
