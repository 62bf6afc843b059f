import { hasChromium } from './browser.ts';
import { hasNginx } from './nginx.ts';
import { hasRedisServer } from './redis-server.ts';

/** Before all tests, once: which of them are skipped for want of a program, and what to do. */
export default function tellWhatIsMissing(): void {
  if (!hasRedisServer) tell('NO REDIS: the tests of many instances are skipped. apt-get install redis-server');
  if (!hasNginx) tell('NO NGINX: examples/nginx.conf and deploy/nginx.conf are not tried. apt-get install nginx');
  if (!hasChromium) tell('NO CHROMIUM: the pages are not opened in a browser. apt-get install chromium');
}

const tell = (line: string): void => void process.stderr.write(`\n${line}\n`);
