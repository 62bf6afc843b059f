import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { clientEvents } from '../../../src/protocol/client-events.ts';
import { serverEvents } from '../../../src/protocol/server-events.ts';
import { hasChromium, startBrowser } from '../../support/browser.ts';
import { RunningService } from '../../support/running-service.ts';

/** A phone's, in CSS pixels. */
const PHONE = { width: 390, height: 844 };

/** A browser on a machine that does other things too. */
const BROWSER_MS = 60_000;

describe('the page of the socket’s events', () => {
  it('tells each event, its fields and an example, from the same schemas as the wire', async () => {
    await using service = await RunningService.start();
    const { status, headers, text } = await service.call('/docs/socket');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    for (const name of [...Object.keys(clientEvents), ...Object.keys(serverEvents)]) {
      expect(text).toContain(`<a href="#${name}">`);
      expect(text).toContain(`<section id="${name}">`);
    }
    expect(text).toContain('<code>options.max_tokens</code>');
    expect(text).toContain('<code>&quot;stop&quot; | &quot;length&quot;');
    expect(text).toContain('&quot;event&quot;: &quot;llm_request&quot;');
  });

  it('needs no script, and nothing from elsewhere', async () => {
    await using service = await RunningService.start();
    const { text } = await service.call('/docs/socket');
    expect(text).not.toMatch(/<script|<link|\son\w+=|src=/);
    for (const [, link] of text.matchAll(/href="([^"]+)"/g)) expect(link).toMatch(/^(?:#|\.\/|\.\.\/)/);
  });

  it('is open where the service wants keys, as the docs are', async () => {
    const secret = 'a-secret-of-more-than-thirty-two-characters';
    await using service = await RunningService.start({ settings: { API_KEYS: `ada.${secret}` } });
    expect((await service.call('/docs/socket')).status).toBe(200);
  });
});

it('/docs has a slash behind it, whatever path a proxy has taken away', async () => {
  await using service = await RunningService.start();
  const answer = await fetch(`${service.url}/docs`, { redirect: 'manual' });
  expect(answer.status).toBe(302);
  expect(answer.headers.get('location')).toBe('docs/');
});

describe.skipIf(!hasChromium)('on a phone', () => {
  let browser: Browser;
  let service: RunningService;

  beforeAll(async () => {
    service = await RunningService.start();
    browser = await startBrowser();
  }, BROWSER_MS);

  afterAll(async () => {
    await browser.close();
    await service[Symbol.asyncDispose]();
  });

  const open = async (path: string): Promise<Page> => {
    const page = await browser.newPage({ viewport: PHONE });
    await page.goto(`${service.url}${path}`);
    return page;
  };

  const widthOf = (page: Page): Promise<number> => page.evaluate('document.documentElement.scrollWidth');

  it('the docs fit, and a call can be made from them', { timeout: BROWSER_MS }, async () => {
    const page = await open('/docs/');
    await page.locator('.opblock-post .opblock-summary-control').first().click();
    await page.getByRole('button', { name: 'Execute' }).first().click();
    const answer = page.locator('.live-responses-table tbody .response-col_status').first();
    await answer.waitFor();
    expect(await answer.innerText()).toContain('200');
    expect(await widthOf(page)).toBe(PHONE.width);
    await page.close();
  });

  it('the docs lead to the socket’s events, which fit', { timeout: BROWSER_MS }, async () => {
    const docs = await open('/docs');
    const opened = docs.waitForEvent('popup');
    await docs.getByRole('link', { name: 'The socket’s events' }).click();
    const page = await opened;
    await page.getByRole('heading', { name: 'From client to service' }).waitFor();
    expect(new URL(page.url()).pathname).toBe('/docs/socket');
    expect(await widthOf(page)).toBe(PHONE.width);
    await page.close();
    await docs.close();
  });
});
