import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import type { CheckedUserAction } from '../authentication/user-action.ts';
import type { Requester } from '../queue/request.ts';

/**
 * The audit row of a call that changes something, with what the caller's credential signed; in the same transaction as
 * the change. It consumes the user action. (What goes through the queue has its record in `request`; the view
 * `audit_log` has both.)
 * @throws USER_ACTION_USED
 */
export async function recordAuditEvent(
  client: pg.ClientBase,
  requester: Requester,
  userAction: CheckedUserAction,
  effect: string,
): Promise<void> {
  const { rowCount } = await client.query(
    `insert into audit_event (user_action, organisation, service_account, access_token, authorisation, effect)
     values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
    [
      userAction.id,
      requester.organisation,
      requester.serviceAccount,
      requester.accessToken,
      JSON.stringify(userAction.authorisation),
      effect,
    ],
  );
  if (rowCount !== 1) throw new CodedError('USER_ACTION_USED', '');
}
