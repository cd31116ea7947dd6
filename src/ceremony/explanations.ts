import type { CeremonyFile } from '../shared/ceremony-file.ts';

/**
 * What an auditor will see on the tokens and would stumble over, in words: part of every protocol file, so that the file
 * explains itself.
 */
const always: readonly string[] = [
  'The master key may wrap and unwrap and nothing else (CKA_ALLOWED_MECHANISMS: one mechanism), and what it unwraps is a sensitive private key for signing that cannot leave again (CKA_UNWRAP_TEMPLATE). A token that does not enforce this is named in its entry (tierB).',
  'The integrity key makes HMACs and does nothing else (it neither wraps, encrypts nor derives). When a token was examined, the attributes of both keys were read back, CKA_SENSITIVE and CKA_EXTRACTABLE among them; every node reads them back again before it works with the token.',
  'CKA_CHECK_VALUE is empty on many tokens after C_UnwrapKey and proves nothing; that two tokens hold the same master key is proven by the canaries: each opens what another wrapped, signs a random value, and the signature verifies under the public key in this file.',
  'fileBefore of a step is the SHA-256 of this file before that step, and the last line of each step told the people the SHA-256 after it: whoever wrote it down can tell whether the file was changed in between.',
];

const delivered: readonly string[] = [
  'Both keys were made inside the backup token as session objects (CKA_SENSITIVE true from birth), wrapped there for each token under that token’s RSA-4096 transport key (RSA-OAEP), and destroyed. Neither was ever outside a token in the clear.',
  'Every token shows CKA_LOCAL false, CKA_ALWAYS_SENSITIVE false and CKA_NEVER_EXTRACTABLE false for both keys. PKCS#11 demands these values of every object that came to a token by C_UnwrapKey, whatever its history: they say how the object arrived, not what can be done with it. What protects the keys is CKA_SENSITIVE true, CKA_EXTRACTABLE false and CKA_MODIFIABLE false.',
  'Signing tokens show CKA_EXTRACTABLE false for both keys, and CKA_MODIFIABLE false: no user of the token can change that again. No signing token ever held an extractable copy.',
  'The backup token shows CKA_EXTRACTABLE true for both keys, and is the only token that does: from it, and from nothing else, a further token can be filled. It can give the keys out wrapped only (CKA_SENSITIVE true). Whoever has the backup token and its PIN can bring the keys to a token of their own: keep it offline, in a safe, its PIN in two halves.',
  'A rotation token, where there is one, holds the previous master key as an object that may unwrap only, and whose CKA_UNWRAP_TEMPLATE makes keys that can be wrapped again (CKA_EXTRACTABLE true, CKA_SENSITIVE true): that is how stored keys get from one master key to the next inside a token. No signing token has such an object, and the token is erased when the rotation is over.',
  'transportKeySha256 is the SHA-256 of the transport key’s SubjectPublicKeyInfo as read on the token that received the keys. In an attended step the second person read it there and typed its beginning where the keys were wrapped; in an unattended step only the program compared.',
];

const adopted: readonly string[] = [
  'Both keys were made on one token and cloned to the others with the vendor’s tools, before this ceremony, which moved no key: how they were made, and how they are backed up, is in the records of those tools.',
  'CKA_LOCAL, CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE show what the vendor’s cloning makes of them, often true on the first token and false on clones: they say how an object arrived, not what can be done with it. What protects the keys is CKA_SENSITIVE true and CKA_EXTRACTABLE false, which the check reads back, and the attacks that it tries.',
];

export const explanations: Readonly<Record<CeremonyFile['keysFrom'], readonly string[]>> = {
  'backup token': [...delivered, ...always],
  'vendor tools': [...adopted, ...always],
  'first token': always,
};
