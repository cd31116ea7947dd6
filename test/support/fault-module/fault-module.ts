/** A PKCS#11 module that forwards to a real one and makes faults on demand; docs/fault-module.md says which. */
export { buildFaultModule } from './build.ts';
export { type FaultControl, openFaultControl } from './control.ts';
export { type FunctionName, functionNames } from './functions.ts';
export { type FaultAction, type FaultRule, faultActions } from './rules.ts';
export type { CallStatistics, FaultStats, ProcessStatistics } from './statistics.ts';
