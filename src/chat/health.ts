import type { FairQueue } from '../limits/fair-queue.ts';
import type { HostHealth, ProviderHealth } from '../providers/provider.ts';
import type { ChatStore } from '../stores/chat-store.ts';
import type { ModelDirectory } from './model-directory.ts';

export interface ServiceHealth {
  /** `degraded`: it answers, but not with the model that it is meant to answer with. */
  readonly status: 'ok' | 'degraded' | 'unavailable';
  readonly store: { readonly status: 'up' | 'down' };
  readonly backend: Omit<ProviderHealth, 'hosts'> & {
    readonly provider: string;
    /** In the order of the settings. */
    readonly hosts: readonly BackendHost[];
  };
  /** Who answers while the backend has never been heard of. */
  readonly fallback?: string;
  /** Of this instance. */
  readonly queue: { readonly waiting: number; readonly serving: number };
  /** Replies that this instance writes now. */
  readonly running: number;
  readonly draining: boolean;
  /** Whether new requests can be sent here: the store answers, and the service is not stopping. */
  readonly ready: boolean;
}

/** `running` and `slots`: replies of this instance there, and how many there may be. */
export type BackendHost = HostHealth & { readonly running: number; readonly slots: number };

interface HealthInput {
  readonly store: ChatStore;
  readonly models: ModelDirectory;
  readonly queue: Pick<FairQueue, 'waiting' | 'serving' | 'slots' | 'load'>;
  readonly running: number;
  readonly draining: boolean;
}

export const checkHealth = async ({ store, models, queue, running, draining }: HealthInput): Promise<ServiceHealth> => {
  const [isStoreUp, backend] = await Promise.all([answers(store), models.health()]);
  const ready = isStoreUp && !draining;
  const fallback = models.fallbackName;
  const hosts = (backend.hosts ?? []).map((each) => ({ ...each, running: queue.load(each.host), slots: queue.slots }));
  return {
    status: !ready ? 'unavailable' : backend.status === 'up' && backend.hint === undefined ? 'ok' : 'degraded',
    store: { status: isStoreUp ? 'up' : 'down' },
    backend: { ...backend, provider: models.providerName, hosts },
    ...(fallback !== undefined && { fallback }),
    queue: { waiting: queue.waiting, serving: queue.serving },
    running,
    draining,
    ready,
  };
};

export const answers = async (store: ChatStore): Promise<boolean> =>
  store.ping().then(
    () => true,
    () => false,
  );
