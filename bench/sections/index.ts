import type { Section } from '../report/figures.ts';
import type { Stage } from '../stage.ts';
import { measureAuthorisation } from './authorisation.ts';
import { measureDatabaseSize } from './database-size.ts';
import { measureDriverAlone } from './driver-alone.ts';
import { measureHotKeys } from './hot-keys.ts';
import { measureKeyGeneration } from './key-generation.ts';
import { measureLatency } from './latency.ts';
import type { SectionName } from './names.ts';
import { measureNetworkHsm } from './network-hsm.ts';
import { measureRaw } from './raw.ts';
import { measureRotation } from './rotation.ts';
import { measureSoak } from './soak.ts';
import { measureSystem } from './system.ts';
import { measureTwoNodes } from './two-nodes.ts';
import { measureUserActions } from './user-actions.ts';

/** @param say for what a long section tells while it runs. */
export async function measure(name: SectionName, stage: Stage, say: (line: string) => void): Promise<Section> {
  switch (name) {
    case 'raw':
      return await measureRaw(stage);
    case 'system':
      return await measureSystem(stage);
    case 'driver-alone':
      return await measureDriverAlone(stage);
    case 'user-actions':
      return await measureUserActions(stage);
    case 'authorisation':
      return await measureAuthorisation(stage);
    case 'key-generation':
      return await measureKeyGeneration(stage);
    case 'latency':
      return await measureLatency(stage);
    case 'hot-keys':
      return await measureHotKeys(stage);
    case 'network-hsm':
      return await measureNetworkHsm(stage);
    case 'two-nodes':
      return await measureTwoNodes(stage);
    case 'database-size':
      return await measureDatabaseSize(stage, say);
    case 'rotation':
      return await measureRotation(stage);
    case 'soak':
      return await measureSoak(stage, say);
    default:
      return name satisfies never;
  }
}
