import type { Section } from '../report/figures.ts';
import type { Stage } from '../stage.ts';
import { measureDriverAlone } from './driver-alone.ts';
import { measureKeyGeneration } from './key-generation.ts';
import { measureLatency } from './latency.ts';
import type { SectionName } from './names.ts';
import { measureRaw } from './raw.ts';
import { measureSystem } from './system.ts';
import { measureUserActions } from './user-actions.ts';

export async function measure(name: SectionName, stage: Stage): Promise<Section> {
  switch (name) {
    case 'raw':
      return await measureRaw(stage);
    case 'system':
      return await measureSystem(stage);
    case 'driver-alone':
      return await measureDriverAlone(stage);
    case 'user-actions':
      return await measureUserActions(stage);
    case 'key-generation':
      return await measureKeyGeneration(stage);
    case 'latency':
      return await measureLatency(stage);
    default:
      return name satisfies never;
  }
}
