import { asCodedError, catalogueEntry } from '../shared/errors.ts';

/** What one look found: a sentence for people, and what to do where something is not as it should be. */
export type Finding =
  | { readonly level: 'good'; readonly found: string }
  /** It works, and a careful operator would change it. */
  | { readonly level: 'warning'; readonly found: string; readonly todo: string }
  /** It does not work, or not for long. */
  | { readonly level: 'problem'; readonly found: string; readonly todo: string };

/** One thing that is looked at. What it looks at is never changed, and nobody is logged in on a token. */
export interface Check {
  readonly name: string;
  /** Checks that must have found no problem before this one makes sense. */
  readonly needs?: readonly string[];
  look(): Promise<readonly Finding[]>;
}

export type Examined =
  | ({ readonly check: string } & Finding)
  | { readonly check: string; readonly level: 'skipped'; readonly found: string };

export function good(found: string): Finding {
  return { level: 'good', found };
}

export function warning(found: string, todo: string): Finding {
  return { level: 'warning', found, todo };
}

export function problem(found: string, todo: string): Finding {
  return { level: 'problem', found, todo };
}

/** An error of the catalogue says both: what happened, and what to do. */
export function problemOf(thrown: unknown): Finding {
  const { code, detail } = asCodedError(thrown);
  const { what, remedy } = catalogueEntry(code);
  return problem(`${what}: ${detail}`, remedy);
}

/**
 * One check after the other, in the order in which an operator mends things: what rests on a problem is not looked at,
 * so that one cause is told once. A check that throws has found a problem.
 */
export async function examine(
  checks: readonly Check[],
  tell: (examined: Examined) => void = () => {},
): Promise<readonly Examined[]> {
  const all: Examined[] = [];
  const failed = new Set<string>();
  for (const { name, needs = [], look } of checks) {
    const missing = needs.filter((need) => failed.has(need));
    const findings: readonly Examined[] =
      missing.length > 0
        ? [{ check: name, level: 'skipped', found: `not looked at before this is mended: ${missing.join(', ')}` }]
        : (await look().catch((error) => [problemOf(error)])).map((finding) => ({ check: name, ...finding }));
    if (findings.some(({ level }) => level === 'problem' || level === 'skipped')) failed.add(name);
    for (const one of findings) tell(one);
    all.push(...findings);
  }
  return all;
}
