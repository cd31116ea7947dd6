import type { LeasedSign } from '../../shared/driver-protocol.ts';
import { requestId } from '../../shared/keys.ts';
import { userActionId } from '../../shared/user-action/challenge.ts';
import { type Refusal, refusal } from './refusal.ts';
import type { SignContent } from './sign-content.ts';
import { type AuthorityRules, coveringChallenge, refuseAge, refuseSigner } from './user-action.ts';

/**
 * Did a credential of the organisation authorise this request, now, and for this one effect?
 *
 * One authorisation has one effect because of what the id of a request is: a hash of the externalId that was signed, or
 * of the signed challenge. Under another id it is refused here; under its own the journal's primary key holds what was
 * done, and a second delivery gets that.
 * @param knownWallets wallets whose statements were checked against the same list before.
 */
export function refuseSignAuthority(
  request: LeasedSign,
  { body, walletId }: SignContent,
  rules: AuthorityRules,
  knownWallets: Set<string>,
): Refusal | undefined {
  const { authorisation, organisation, id } = request;
  if (authorisation === undefined) return refusal('AUTHORISATION_REFUSED', 'the request carries no authorisation');
  const challenge = coveringChallenge(authorisation);
  if (challenge === undefined)
    return refusal('AUTHORISATION_REFUSED', 'the credential signed another method, path or payload');
  const { externalId } = body;
  const origin = externalId === undefined ? { userAction: userActionId(challenge) } : { externalId };
  if (requestId('sig', organisation, origin) !== id)
    return refusal('AUTHORISATION_REFUSED', `it authorises another request than ${id}`);
  return (
    refuseAge(challenge, rules) ??
    refuseSigner(authorisation, organisation, ['Keys:Signatures:Create'], rules) ??
    refuseWalletsMaker(request, walletId, rules, knownWallets)
  );
}

/**
 * A wallet is what a credential of the same organisation had made. At any time: an id cannot be made to fit a statement
 * afterwards, so one that is no longer allowed anything can still say what it did.
 */
function refuseWalletsMaker(
  { organisation, authorisation }: LeasedSign,
  walletId: string | undefined,
  rules: AuthorityRules,
  knownWallets: Set<string>,
): Refusal | undefined {
  const statement = authorisation?.wallet;
  // The content was checked: there is a statement, and it fits the id.
  if (walletId === undefined || statement === undefined) return undefined;
  const name = `${organisation} ${walletId}`;
  if (knownWallets.has(name)) return undefined;
  const refused = refuseSigner(statement, organisation, [], rules);
  if (refused !== undefined) return { ...refused, detail: `wallet ${walletId}: ${refused.detail}` };
  knownWallets.add(name);
  return undefined;
}
