import { describe, expect, it } from 'vitest';
import { withTiming } from '../../src/stores/timed-store.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const open = () => {
  const metrics = new Metrics();
  metrics.addGauges({
    queue: () => ({ waiting: 3, serving: 1 }),
    running: () => 4,
    sockets: () => 5,
    hosts: () => [{ host: 'http://box:11434', isUp: true, running: 2 }],
  });
  return metrics;
};

describe('Metrics', () => {
  it('tells requests, replies, queue, hosts, sockets and the process as Prometheus reads them', async () => {
    const metrics = open();
    metrics.countRequest('accepted');
    metrics.countRequest('rate_limited');
    metrics.countReply({
      model: 'm',
      outcome: 'done',
      promptTokens: 7,
      completionTokens: 20,
      queuedMs: 100,
      firstTokenMs: 500,
      totalMs: 1500,
    });
    const text = await metrics.collect();
    expect(metrics.contentType).toContain('text/plain');
    for (const line of [
      'llm_requests_total{outcome="accepted"} 1',
      'llm_requests_total{outcome="rate_limited"} 1',
      'llm_replies_total{model="m",outcome="done"} 1',
      'llm_tokens_total{model="m",kind="completion"} 20',
      'llm_time_to_first_token_seconds_sum{model="m"} 0.5',
      'llm_tokens_per_second_sum{model="m"} 20',
      'llm_queue_waiting 3',
      'llm_queue_serving 1',
      'llm_replies_running 4',
      'llm_sockets 5',
      'llm_host_up{host="http://box:11434"} 1',
    ]) {
      expect(text).toContain(line);
    }
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds');
  });

  it('times the store by operation, and changes nothing of what it answers', async () => {
    const metrics = open();
    const clock = new VirtualClock();
    const failure = new Error('away');
    const store = withTiming(
      {
        name: 'store',
        load: async (ms: number) => {
          await clock.sleep(ms);
          return ms;
        },
        fail: async () => Promise.reject(failure),
        watch: () => 'at once',
      },
      clock,
      (...timing) => metrics.timeStore(...timing),
    );
    const loading = store.load(20);
    await clock.advance(20);
    expect([await loading, store.name, store.watch()]).toEqual([20, 'store', 'at once']);
    await expect(store.fail()).rejects.toBe(failure);
    const text = await metrics.collect();
    expect(text).toContain('llm_store_seconds_sum{operation="load",result="ok"} 0.02');
    expect(text).toContain('llm_store_seconds_count{operation="fail",result="error"} 1');
  });
});
