import { arch, cpus, platform, release } from 'node:os';
import { canPin } from '../measure/cores.ts';
import type { Machine } from './result.ts';

export const describeMachine = (redis: string): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? 'an unknown CPU',
  cores: cpus().length, // those of the machine: this process keeps to one of them
  isPinned: canPin,
  node: process.versions.node,
  redis,
  system: `${platform()} ${release()} ${arch()}`,
});
