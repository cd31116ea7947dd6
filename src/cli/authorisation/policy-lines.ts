import type { NodeStatus } from '../../primary/operations/status.ts';

/** What requests and operators are held to on a node, for people. Pure. */
export function policyLines({ authorisation, operators, slots }: NodeStatus): string[] {
  const reports = slots.flatMap(({ policy }) => policy ?? []);
  const frozen = new Map(reports.flatMap((one) => one.frozen).map((freeze) => [freeze.id, freeze]));
  return [
    operatorsLine(operators),
    ...authorisationLines(authorisation, reports),
    ...clockLines(reports),
    ...[...frozen.values()].map(({ id, scope, subject }) => `! frozen: ${scope} ${subject} (freeze ${id})`),
  ];
}

/** Where authorisations are enforced, such a node takes no work. */
function clockLines(reports: readonly NonNullable<NodeStatus['slots'][number]['policy']>[]): string[] {
  const ahead = reports.map(({ clockAheadMs }) => clockAheadMs).find((ms) => Math.abs(ms) > 60_000);
  return ahead === undefined ? [] : [`! this node’s clock is ${Math.round(ahead / 1_000)} s ahead of its database’s`];
}

function operatorsLine(operators: NodeStatus['operators']): string {
  if (operators === undefined)
    return '! orders: no operators are configured; nobody but the one at the keyboard is needed';
  const { threshold, of } = operators;
  const alone = threshold === 1 ? '; one person decides alone' : '';
  return `orders: ${threshold} of ${of} operators sign${alone}`;
}

function authorisationLines(
  mode: NodeStatus['authorisation'],
  reports: readonly NonNullable<NodeStatus['slots'][number]['policy']>[],
): string[] {
  const versions = new Set(reports.map(({ credentialList }) => credentialList?.version));
  const listText = [...versions]
    .map((version) => (version === undefined ? 'none' : `version ${version}`))
    .join(' and ');
  const list = reports.length === 0 ? 'not known yet' : listText;
  switch (mode) {
    case 'off':
      return ['! authorisations: not checked here; whoever holds the signing API can sign'];
    case 'report':
      return [`! authorisations: checked and counted, not enforced; list of credentials: ${list}`];
    case 'enforce':
      return [
        `authorisations: enforced; list of credentials: ${list}`,
        ...(versions.has(undefined) ? ['! no list of credentials is in force: nothing new is signed'] : []),
      ];
    default:
      throw mode satisfies never;
  }
}
