import { createHash } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { type CeremonyFile, type CeremonyStep, ceremonyFile, parseCeremonyFile } from '../shared/ceremony-file.ts';
import { createDurably } from '../shared/durable-file.ts';
import { CodedError } from '../shared/errors.ts';
import type { People } from './people.ts';

/** The protocol file as it is read, and what names this very content. */
export interface Protocol {
  readonly content: CeremonyFile;
  readonly text: string;
  /** SHA-256 of the file, hex: what `sha256sum` prints. */
  readonly sha256: string;
}

/** @throws CEREMONY_REFUSED when there is none, CONFIG_INVALID when it is not valid. */
export function readProtocol(file: string): Protocol {
  const text = readText(file);
  return { content: parseCeremonyFile(text, file), text, sha256: sha256Of(text) };
}

/** The entry that a step leaves in the protocol. */
export function stepEntry(
  step: CeremonyStep['step'],
  people: People,
  record: readonly string[],
  before?: Protocol,
): CeremonyStep {
  const { attended, names, order } = people;
  const at = new Date().toISOString();
  return {
    step,
    at,
    attended,
    people: [...names],
    ...(before === undefined ? {} : { fileBefore: before.sha256 }),
    record: [...(order === undefined ? [] : [order]), ...record],
  };
}

/**
 * Writes a new protocol file whole or not at all, and never over another one.
 * @returns its SHA-256. @throws CEREMONY_REFUSED
 */
export function writeProtocolFile(file: string, content: CeremonyFile): string {
  return write(file, content, (unfinished) => linkSync(unfinished, file));
}

/**
 * Puts the next version of a protocol file in its place, if it still is what was read before.
 * @returns its SHA-256. @throws CEREMONY_REFUSED
 */
export function replaceProtocolFile(file: string, before: Protocol, content: CeremonyFile): string {
  return write(file, content, (unfinished) => {
    if (sha256Of(readText(file)) !== before.sha256) {
      throw new CodedError('CEREMONY_REFUSED', `${file} was changed by somebody else during this step`);
    }
    renameSync(unfinished, file);
  });
}

/** A second file beside it, made durable, then put under its name. */
function write(file: string, content: CeremonyFile, publish: (unfinished: string) => void): string {
  const text = `${JSON.stringify(ceremonyFile.parse(content), null, 2)}\n`;
  const unfinished = `${file}.${process.pid}.unfinished`;
  try {
    createDurably(unfinished, text, 0o644);
    publish(unfinished);
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    throw new CodedError('CEREMONY_REFUSED', `${file} cannot be written (${why(cause)})`, { cause });
  } finally {
    rmSync(unfinished, { force: true });
  }
  return sha256Of(text);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CodedError('CEREMONY_REFUSED', `there is no protocol file ${file} (${why(cause)})`, { cause });
  }
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function why(cause: unknown): string {
  return (cause as NodeJS.ErrnoException).code ?? 'unknown';
}
