import type { Curve } from '../../../shared/keys.ts';
import { CKA, CKK, CKO } from '../constants.ts';
import type { Template } from '../module.ts';
import { unwrapTemplate } from '../templates.ts';

/** A template under which somebody with the PIN and a blob would like to unwrap the key in it. */
export interface LaxTemplate {
  /** After “unwrap”. */
  readonly what: string;
  readonly template: Template;
  /** The attribute that the thief wants, and its value; without one, any key is what he wants. */
  readonly effect?: readonly [number, boolean];
}

export function laxTemplates(curve: Curve): readonly LaxTemplate[] {
  const strict = unwrapTemplate(curve);
  const instead = (what: string, type: number, value: boolean): LaxTemplate => {
    return { what, template: strict.map((one) => (one.type === type ? { type, value } : one)), effect: [type, value] };
  };
  return [
    instead(asExtractable, CKA.EXTRACTABLE, true),
    instead('as not sensitive', CKA.SENSITIVE, false),
    instead('as a token object', CKA.TOKEN, true),
    instead('for derivation', CKA.DERIVE, true),
    {
      what: 'without saying that it is not extractable',
      template: strict.filter(({ type }) => type !== CKA.EXTRACTABLE),
      effect: [CKA.EXTRACTABLE, true],
    },
    {
      what: 'as a secret key',
      template: [
        { type: CKA.CLASS, value: CKO.SECRET_KEY },
        { type: CKA.KEY_TYPE, value: CKK.GENERIC_SECRET },
        { type: CKA.TOKEN, value: false },
        { type: CKA.SENSITIVE, value: false },
        { type: CKA.EXTRACTABLE, value: true },
      ],
    },
  ];
}

/** The one that is tried again after others may have weakened the master key. */
export const asExtractable = 'as extractable';
