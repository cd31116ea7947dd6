import { z } from 'zod';

/** A JSON Schema of draft 2020-12, as OpenAPI 3.1 has it. */
export type JsonSchema = Record<string, unknown>;

/** @param io `input`: what may be sent; `output`: what is answered. */
export function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

export function jsonContent(schema: JsonSchema): Record<string, unknown> {
  return { 'application/json': { schema } };
}

/** Writes schemas that have a name only once: everywhere else stands a reference to `#/components/schemas/NAME`. */
export function withReferences(value: unknown, named: ReadonlyMap<string, JsonSchema>): unknown {
  const names = new Map([...named].map(([name, schema]) => [JSON.stringify(schema), name]));
  const walk = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== 'object' || node === null) return node;
    const name = names.get(JSON.stringify(node));
    if (name !== undefined) return { $ref: `#/components/schemas/${name}` };
    return membersOf(node);
  };
  const membersOf = (node: object): JsonSchema =>
    Object.fromEntries(Object.entries(node).map(([key, member]) => [key, walk(member)]));
  return walk(value);
}

/** The named schemas themselves, with references to each other. */
export function namedSchemas(named: ReadonlyMap<string, JsonSchema>): Record<string, unknown> {
  return Object.fromEntries(
    [...named].map(([name, schema]) => {
      const others = new Map([...named].filter(([other]) => other !== name));
      return [name, withReferences(schema, others)];
    }),
  );
}
