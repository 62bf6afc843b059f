import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createGatedReply } from '../../support/gated-reply.ts';
import { RunningService } from '../../support/running-service.ts';

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = String.raw`[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\n"])*"`;
const SAMPLE = new RegExp(`^(${NAME})(?:\\{((?:${LABEL},?)*)\\})? (-?[0-9.e+-]+|[Nn]a[Nn]|[+-]Inf)$`);
const HEADER = new RegExp(`^# (?:HELP ${NAME} .+|TYPE (${NAME}) (counter|gauge|histogram|summary))$`);

/** Takes the text apart as Prometheus does (its "Exposition formats", text version 0.0.4). */
const parse = (text: string) => {
  expect(text.endsWith('\n')).toBe(true);
  const types = new Map<string, string>();
  const samples = new Map<string, number>();
  for (const line of text.split('\n').filter(Boolean)) {
    if (line.startsWith('#')) {
      const [, name, type] = HEADER.exec(line) ?? expect.fail(`no header: ${line}`);
      if (name && type) types.set(name, type);
      continue;
    }
    const [, name = '', labels = '', value] = SAMPLE.exec(line) ?? expect.fail(`no sample: ${line}`);
    const isOfHistogram = types.get(name.replace(/_(?:bucket|sum|count)$/, '')) === 'histogram';
    expect({ line, hasType: isOfHistogram || types.has(name) }).toEqual({ line, hasType: true });
    const key = labels === '' ? name : `${name}{${labels}}`;
    expect([...samples.keys()]).not.toContain(key);
    samples.set(key, Number(value));
  }
  return { types, samples, of: (key: string) => samples.get(key) };
};

const scrape = async (service: RunningService) => parse((await service.call('/metrics')).text);

/** The figures beside those of Node and of the process. */
const oursOf = ({ samples }: ReturnType<typeof parse>): readonly string[] =>
  [...samples.keys()].filter((key) => key.startsWith('llm_'));

const ask = (service: RunningService, fields: object = {}) =>
  service.post('/generate_response', { conversation_id: 'c1', user_input: 'hello', ...fields });

describe('GET /metrics', () => {
  it('is Prometheus text with a figure for all that is looked at', async () => {
    await using service = await RunningService.start({ settings: { LLM_RATE_LIMIT: '4' } });
    const answers = [
      await ask(service, { request_id: 'r1' }),
      await ask(service, { request_id: 'r1' }),
      await ask(service, { user_input: '[[error-line:3]]' }),
      await ask(service, { model: 'none' }),
      await ask(service, { model: 'tiny-plain' }),
      await ask(service, { nonsense: true }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 502, 404, 200, 400]);
    const client = await service.connect();
    client.socket.send('no JSON');
    const { script, gate } = createGatedReply();
    service.ollama.next(script);
    client.ask('hello', { conversation_id: 'c2' });
    await gate.reached;
    expect((await ask(service)).status).toBe(429);

    const page = await service.call('/metrics');
    expect(page).toMatchObject({ status: 200 });
    expect(page.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const { of, samples, types } = parse(page.text);
    expect({
      accepted: of('llm_requests_total{outcome="accepted"}'),
      duplicate: of('llm_requests_total{outcome="duplicate"}'),
      modelNotFound: of('llm_requests_total{outcome="model_not_found"}'),
      rateLimited: of('llm_requests_total{outcome="rate_limited"}'),
      invalid: of('llm_refusals_total{code="invalid_request"}'),
      done: of('llm_replies_total{model="tiny-chat",outcome="done"}'),
      failed: of('llm_replies_total{model="tiny-chat",outcome="backend_error"}'),
      firstToken: of('llm_time_to_first_token_seconds_count{model="tiny-chat"}'),
      speed: types.get('llm_tokens_per_second'),
      waited: of('llm_queue_seconds_count'),
      waiting: of('llm_queue_waiting'),
      serving: of('llm_queue_serving'),
      running: of('llm_replies_running'),
      sockets: of('llm_sockets'),
      host: of(`llm_host_up{host="${service.ollama.url}"}`),
    }).toEqual({
      accepted: 4,
      duplicate: 1,
      modelNotFound: 1,
      rateLimited: 1,
      invalid: 2,
      done: 1,
      failed: 1,
      firstToken: 2,
      speed: 'histogram',
      waited: 3,
      waiting: 0,
      serving: 1,
      running: 1,
      sockets: 1,
      host: 1,
    });
    expect(of('llm_store_seconds_count{operation="begin",result="ok"}')).toBe(5); // with the example conversation
    expect(of('llm_tokens_total{model="tiny-chat",kind="completion"}')).toBeGreaterThan(0);
    for (const name of ['nodejs_eventloop_lag_p99_seconds', 'process_resident_memory_bytes']) {
      expect(samples.has(name)).toBe(true);
    }
    gate.open();
  });

  it('tells when a host does not answer any more', async () => {
    await using service = await RunningService.start({ settings: { NODE_ENV: 'production' } });
    await ask(service);
    await service.ollama.kill();
    await service.call('/health');
    expect((await scrape(service)).of('llm_host_up{host="its address (OLLAMA_BASE_URL)"}')).toBeUndefined();
    expect((await scrape(service)).of(`llm_host_up{host="${service.ollama.url}"}`)).toBe(0);
  });

  it('has no more labels, and nothing that was said, the more there is asked', async () => {
    const canary = 'canary-9f2b';
    await using service = await RunningService.start();
    const askAll = async (word: string): Promise<void> => {
      for (const model of ['TINY-chat', 'tiny-chat:latest', 'registry.ollama.ai/library/tiny-chat', `no-${word}`]) {
        await ask(service, {
          conversation_id: `${canary}-${word}`,
          user_input: `${canary} ${word}`,
          request_id: `${canary}-${word}-${model}`,
          metadata: { [canary]: word },
          model,
        });
      }
      await service.call(`/${canary}/${word}`);
      const client = await service.connect();
      client.send(`${canary}${word}`, {});
      await client.waitForEnd();
    };
    await askAll('one');
    const before = oursOf(await scrape(service));
    for (const word of ['two', 'three', 'four']) await askAll(word);
    const page = await scrape(service);
    expect(oursOf(page)).toEqual(before);
    expect(before.join()).not.toContain(canary);
    expect(page.of('llm_replies_total{model="tiny-chat",outcome="done"}')).toBe(12);
  });

  it('needs a key where there are keys', async () => {
    const key = `ada.${randomBytes(32).toString('base64url')}`;
    await using service = await RunningService.start({ settings: { API_KEYS: key } });
    expect((await service.call('/metrics')).status).toBe(401);
    const { status, text } = await service.call('/metrics', { headers: { authorization: `Bearer ${key}` } });
    expect(status).toBe(200);
    expect(text).not.toContain('ada');
    expect(parse(text).of('llm_refusals_total{code="unauthorized"}')).toBe(1);
  });
});
