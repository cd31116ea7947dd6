/** What a child process of the bench can be asked, by name: plain JSON both ways. */
export type Calls = Record<string, { readonly ask: unknown; readonly answer: unknown }>;

export type Question = { readonly id: number; readonly name: string; readonly ask: unknown };
export type Answer =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly failed: string };
