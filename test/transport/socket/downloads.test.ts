import { describe, expect, it } from 'vitest';
import { RunningService } from '../../support/running-service.ts';
import { createGate } from '../../support/scripted-ollama/scripted-ollama.ts';
import type { SocketClient } from '../../support/socket-client.ts';

/** What clients are told while a model is downloaded. */

const loading = (client: SocketClient) =>
  client.waitFor(
    ({ data }) => data['state'] === 'model_loading' && data['completed_bytes'] !== undefined,
    'a status with bytes',
  );

describe('a model that is downloaded', () => {
  it('is told to all who wait for it, with how much of it is there', async () => {
    await using service = await RunningService.start({
      settings: { LLM_AUTO_PULL: 'true', LLM_MODELS: 'llama3' },
    });
    const gate = createGate();
    service.ollama.nextPull(
      { layer: 'weights', total: 4_700_000_000, completed: 1_900_000_000 },
      { waitFor: gate },
      { success: true },
    );
    const clients = [await service.connect(), await service.connect()];
    for (const [index, client] of clients.entries()) {
      client.send('llm_request', { conversation_id: `c${index}`, message: 'hello', model: 'llama3' });
    }
    for (const client of clients) {
      const { data } = await loading(client);
      expect(data).toEqual({
        message_id: expect.any(String),
        state: 'model_loading',
        elapsed_ms: expect.any(Number),
        completed_bytes: 1_900_000_000,
        total_bytes: 4_700_000_000,
      });
    }
    gate.open();
    for (const client of clients) expect((await client.waitForEnd()).data).toMatchObject({ success: true });
    expect(service.ollama.ledger.requestsTo('/api/pull')).toHaveLength(1);
  });

  it('is left by a cancel at once', async () => {
    await using service = await RunningService.start({
      settings: { LLM_AUTO_PULL: 'true', LLM_MODELS: 'llama3' },
    });
    service.ollama.nextPull({ layer: 'weights', total: 1000, completed: 10 }, { hang: true });
    const client = await service.connect();
    client.send('llm_request', { conversation_id: 'c1', message: 'hello', model: 'llama3' });
    const { data } = await loading(client);
    client.send('llm_cancel', { message_id: data['message_id'] });
    expect((await client.waitForEnd()).data).toMatchObject({ success: true, finish_reason: 'cancelled' });
    expect(service.ollama.ledger.requestsTo('/api/pull')).toMatchObject([{ outcome: 'open' }]);
  });
});
