/** What a newcomer is told at the start. */
export interface Welcome {
  /** Where the service listens, as a URL. */
  readonly address: string;
  /** Whether callers must send a key. */
  readonly hasKeys: boolean;
  /** What answers when a caller names no model. */
  readonly model: string;
  /** Where the models are: the hosts that answer. */
  readonly hosts: readonly string[];
  /** What is to be done about host or model; absent where nothing is. */
  readonly hint: string | undefined;
  /** Who answers until the host does for the first time. */
  readonly fallback: string | undefined;
}

/** Easier to read; and a shell may take the brackets of `[::1]` for a pattern. */
const THIS_MACHINE = /\/\/(?:127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):/;

/** Where to click, and what to type: as it stands, a page, a shell and a browser's console take it. */
export const toWelcome = (welcome: Welcome): string => {
  const url = welcome.address.replace(THIS_MACHINE, '//localhost:');
  const { hasKeys } = welcome;
  return `
  Try it:    ${url}/docs
${hasKeys ? `\n  Your key:  export KEY='<one of API_KEYS>'\n` : ''}
  curl:      ${toCurl(url, hasKeys)}

  browser:   paste this into the console of ${url}/docs
             ${toConsoleLine(url, hasKeys)}

  ${toAnswering(welcome)}

`;
};

const toCurl = (url: string, hasKeys: boolean): string => {
  const key = hasKeys ? ` -H "Authorization: Bearer $KEY"` : '';
  return `curl${key} -H 'content-type: application/json' ${url}/generate_response \\
               -d '{"conversation_id":"c1","user_input":"Hello!"}'`;
};

const toConsoleLine = (url: string, hasKeys: boolean): string => {
  const protocols = hasKeys ? `, ['llm-chat.v1', 'bearer.' + prompt('Your key?')]` : '';
  const frame = `{ event: 'llm_request', data: { conversation_id: 'c1', message: 'Hello!' } }`;
  return (
    `ws = new WebSocket('${url.replace('http', 'ws')}/ws'${protocols}); ws.onmessage = (m) => console.log(m.data); ` +
    `ws.onopen = () => ws.send(JSON.stringify(${frame}))`
  );
};

/** Who answers, and how to have it otherwise. */
const toAnswering = ({ model, hosts, hint, fallback }: Welcome): string => {
  if (fallback !== undefined) {
    return `ELIZA answers, a small program of rules, until Ollama does. ${hint ?? ''}
  For a real model install Ollama (https://ollama.com/download), then: ollama pull ${model}`;
  }
  return hint ?? `${model} answers, from ${hosts.join(' and ')}.`;
};
