import type { DriverConfiguration } from '../shared/configuration/driver.ts';
import { readOperators } from '../shared/orders/operators.ts';
import { type Finding, good, warning } from './check.ts';

/** Who must agree to what, by the configuration: operators to orders, callers to signatures. @throws CONFIG_INVALID */
export function authorityFindings({ operators, authorisation }: DriverConfiguration): readonly Finding[] {
  return [operatorsFinding(operators), authorisationFinding(authorisation)];
}

function operatorsFinding(operators: DriverConfiguration['operators']): Finding {
  if (operators === undefined)
    return warning(
      'no operators are configured: nobody but the one at the keyboard is needed',
      'Add the section operators, with a threshold of two or more people',
    );
  const { threshold, keys } = readOperators(operators);
  if (threshold === 1)
    return warning('one operator decides alone (threshold 1)', 'Have two or more operators sign, where there are two');
  return good(`orders need ${threshold} of ${keys.size} operators`);
}

function authorisationFinding({ mode }: DriverConfiguration['authorisation']): Finding {
  switch (mode) {
    case 'off':
      return warning(
        'callers’ authorisations are not checked: whoever holds the signing API can sign',
        'Install a list of credentials, set authorisation.mode to report, and then to enforce (docs/authorisation.md)',
      );
    case 'report':
      return warning(
        'callers’ authorisations are checked and not enforced',
        'Once hsm_driver_events_total{event="authorisations_refused"} stays, set authorisation.mode to enforce',
      );
    case 'enforce':
      return good('callers’ authorisations are enforced');
    default:
      throw mode satisfies never;
  }
}
