import type { ModelLoading, PullProgress } from '../providers/provider.ts';

/** What a reply is doing, beside its log: told to who watches, numbered and stored nowhere. */
export type ReplyStatus =
  /** 1 is the next; `expectedMs` by what was measured. */
  | { readonly state: 'queued'; readonly position: number; readonly expectedMs?: number }
  | ({ readonly state: 'model_loading'; readonly elapsedMs: number } & PullProgress)
  | { readonly state: 'generating' }
  | { readonly state: 'retrying'; /** 1 is the first try after the first attempt. */ readonly attempt: number }
  /** The store is away; what was shown is kept. */
  | { readonly state: 'degraded' }
  /** After a cancel: the host is free again. */
  | { readonly state: 'released'; readonly stoppedMs: number };

/** As a live reply keeps it: elapsed time is worked out when it is told. */
export type LiveStatus = Exclude<ReplyStatus, { state: 'model_loading' }> | ModelLoading;

export const toReplyStatus = (status: LiveStatus, now: number): ReplyStatus => {
  if (status.state !== 'model_loading') return status;
  const { since, ...loading } = status;
  return { ...loading, elapsedMs: now - since };
};
