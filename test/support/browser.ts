import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

const PATH = '/usr/bin/chromium';

/** Whether this machine has Debian's Chromium; `tell-what-is-missing.ts` says what to do where it has none. */
export const hasChromium = existsSync(PATH);

/** It asks nobody beyond this machine for anything; in a container there is no sandbox for it. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const startBrowser = (): Promise<Browser> => chromium.launch({ executablePath: PATH, args: ARGUMENTS });
