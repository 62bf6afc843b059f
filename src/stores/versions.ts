import type { Ids } from '../clock.ts';

const VERSIONS = 2 ** 40;

/**
 * The first version of a conversation. It is drawn, so that a prompt made from a conversation that was deleted never
 * fits the one that took its id.
 */
export const toFirstVersion = (ids: Ids): number => 1 + Math.floor(ids.random() * VERSIONS);
