/**
 * The ways one JSON body may have been written when it was signed. TypeScript clients sign the bytes they send; Python
 * clients sign compact ASCII JSON, but their HTTP library writes the body anew, with other spaces and escapes.
 */
export function possiblePayloads(text: string, value: unknown): string[] {
  if (text === '') return [''];
  const compact = JSON.stringify(value);
  return [...new Set([text, compact, asciiJson(compact)])];
}

/** As Python's json.dumps(…, ensure_ascii=True) escapes: everything but printable ASCII, in lower-case hex. */
function asciiJson(json: string): string {
  return json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
