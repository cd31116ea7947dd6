import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import t from 'tap';

/** The rules of who may import whom: what keeps a PIN in one kind of process, and a vendor library in one file. */
const source = resolve(import.meta.dirname, '../src');
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));

interface Import {
  readonly from: string;
  /** Path below src, or the package's name. */
  readonly to: string;
  /** Gone after type stripping: no code is loaded. */
  readonly typeOnly: boolean;
}

const imports = files.flatMap((from): Import[] => {
  const text = readFileSync(join(source, from), 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s(type\s)?(?:[^;'"]*?\sfrom\s)?['"]([^'"]+)['"]/gm);
  const calls = text.matchAll(/\b(?:import|require)\(['"]([^'"]+)['"]\)/g);
  return [
    ...[...statements].map(([, type, target = '']) => ({ target, typeOnly: type !== undefined })),
    ...[...calls].map(([, target = '']) => ({ target, typeOnly: false })),
  ].map(({ target, typeOnly }) => ({
    from,
    to: target.startsWith('.') ? relative(source, resolve(source, dirname(from), target)) : target,
    typeOnly,
  }));
});

const part = (path: string): string => path.split('/')[0] ?? '';
const breaking = (from: string, ...to: string[]): string[] =>
  imports
    .filter((one) => part(one.from) === from && to.includes(part(one.to)))
    .map((one) => `${one.from} imports ${one.to}`);

t.test('every file and every import was seen', async (t) => {
  t.ok(files.length > 50);
  for (const file of files) {
    const text = readFileSync(join(source, file), 'utf8');
    const expected = [...text.matchAll(/^(?:import\s|export\s(?:type\s)?[*{][^;]*?\sfrom\s)/gm)].length;
    const seen = imports.filter((one) => one.from === file).length;
    t.ok(seen >= expected, `${file}: ${seen} of ${expected}`);
  }
  for (const one of imports.filter(({ to }) => to.endsWith('.ts')))
    t.ok(files.includes(one.to), `${one.from} → ${one.to}`);
});

t.test('each part imports only what it may', async (t) => {
  t.strictSame(
    breaking('shared', 'api', 'primary', 'worker', 'cli', 'ceremony', 'qualify', 'doctor', 'guard', 'self-test'),
    [],
  );
  t.strictSame(breaking('worker', 'api', 'primary', 'cli', 'ceremony', 'qualify', 'doctor', 'guard', 'self-test'), []);
  t.strictSame(breaking('primary', 'api', 'worker', 'cli', 'ceremony', 'qualify', 'doctor', 'guard', 'self-test'), []);
  t.strictSame(breaking('api', 'primary', 'worker', 'cli', 'ceremony', 'qualify', 'doctor', 'guard', 'self-test'), []);
  t.strictSame(breaking('ceremony', 'api', 'primary', 'cli', 'qualify', 'doctor', 'guard', 'self-test'), []);
  t.strictSame(breaking('qualify', 'api', 'primary', 'cli', 'doctor', 'guard', 'self-test'), []);
  t.strictSame(breaking('doctor', 'api', 'cli', 'qualify', 'self-test'), []);
  t.strictSame(breaking('self-test', 'api', 'primary', 'worker', 'cli', 'ceremony', 'qualify', 'doctor', 'guard'), []);
  t.strictSame(
    imports
      .filter((one) => part(one.from) === 'standalone' && !one.to.startsWith('standalone') && one.to.includes('/'))
      .map((one) => one.to),
    [],
  );
  t.strictSame(breaking('guard', 'api', 'primary', 'worker', 'cli', 'ceremony', 'qualify', 'doctor', 'self-test'), []);
  t.strictSame(breaking('retire', 'api', 'cli', 'qualify', 'doctor', 'guard', 'audit', 'backup', 'self-test'), []);
  t.strictSame(breaking('backup', 'api', 'primary', 'cli', 'qualify', 'doctor', 'guard', 'audit', 'self-test'), []);
  t.strictSame(breaking('audit', 'api', 'primary', 'worker', 'cli', 'ceremony', 'qualify', 'doctor', 'guard'), []);
});

t.test('PKCS#11 is reached through one file, but for the one call that the binding cannot express', async (t) => {
  const importers = (name: string): string[] =>
    imports.filter((one) => one.to === name && !one.typeOnly).map((one) => one.from);
  t.strictSame(importers('pkcs11js'), ['worker/hsm/module.ts']);
  t.strictSame(importers('koffi'), ['worker/hsm/delivery/nested-template.ts']);
});

t.test('a session thread loads little: each session costs its memory again', async (t) => {
  const loaded = new Set(['worker/hsm/session-thread.ts']);
  for (const file of loaded)
    for (const one of imports.filter(({ from, typeOnly }) => from === file && !typeOnly)) loaded.add(one.to);
  const packages = [...loaded].filter((one) => !one.endsWith('.ts') && !one.startsWith('node:'));
  t.strictSame(packages.sort(), ['pkcs11js', 'secp256k1']);
  t.notOk(loaded.has('shared/chains/index.ts'));
});

t.test('outside worker/hsm nobody knows a constant of PKCS#11', async (t) => {
  const outside = files.filter((file) => !file.startsWith('worker/hsm/'));
  t.strictSame(
    imports.filter((one) => one.to === 'worker/hsm/constants.ts' && outside.includes(one.from)).map((one) => one.from),
    [],
  );
  for (const file of outside) {
    const code = withoutText(readFileSync(join(source, file), 'utf8'));
    t.strictSame(
      [...code.matchAll(/\bCK[A-Z](?:_[A-Z0-9_]+|\.[A-Z0-9_]+|\b)/g)].map(([name]) => name),
      [],
      file,
    );
    t.notMatch(code, /\b(?:type|mechanism): 0x[0-9a-f]+/i, `${file}: a constant by its number`);
  }
});

/** Code without comments and string literals, but with what stands in the `${…}` of a template. */
function withoutText(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g, (found) =>
    found.startsWith('`') ? [...found.matchAll(/\$\{([^}]*)\}/g)].map(([, inside]) => inside).join(';') : ' ',
  );
}

t.test('no file imports itself, however indirectly', async (t) => {
  const next = new Map(
    files.map((file) => [
      file,
      imports.filter((one) => one.from === file && files.includes(one.to)).map((one) => one.to),
    ]),
  );
  const clear = new Set<string>();
  const cycle = (file: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (clear.has(file)) return undefined;
    for (const target of next.get(file) ?? []) {
      const found = cycle(target, [...path, file]);
      if (found !== undefined) return found;
    }
    clear.add(file);
    return undefined;
  };
  for (const file of files) t.strictSame(cycle(file, []), undefined, file);
});
