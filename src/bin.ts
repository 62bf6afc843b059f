#!/usr/bin/env node
/**
 * What `npx llm-chat-service` starts, as built JavaScript. It imports nothing beforehand: an older Node, which cannot
 * read the rest, gets as far as this, and says what is needed.
 */
const NEEDED = { major: 24, minor: 15 };

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major > NEEDED.major || (major === NEEDED.major && minor >= NEEDED.minor)) {
  await import('./main.ts');
} else {
  process.stderr.write(
    `llm-chat-service needs Node ${NEEDED.major}.${NEEDED.minor} or newer; this is ${process.versions.node}. Get it from https://nodejs.org\n`,
  );
  process.exitCode = 1;
}
