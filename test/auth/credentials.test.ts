import { describe, expect, it } from 'vitest';
import { credentialsOfRequest, credentialsOfSocket, selectSubprotocol } from '../../src/auth/credentials.ts';

const KEY = 'alice.0123456789-ABCDEFGHIJ_abcdefghijklmn';

describe('the key of a request', () => {
  it.each([
    ['a bearer', `Bearer ${KEY}`, KEY],
    ['a scheme of any case', `bEARER  ${KEY} `, KEY],
    ['another scheme', 'Basic YWxpY2U6eA==', undefined],
    ['a scheme alone', 'Bearer ', undefined],
    ['a key without its scheme', KEY, undefined],
    ['two keys', `Bearer ${KEY} ${KEY}`, undefined],
    ['no header', undefined, undefined],
  ])('is read from %s', (_, authorization, key) => {
    expect(credentialsOfRequest({ authorization })).toBe(key);
  });

  it('does not come from subprotocols', () => {
    expect(credentialsOfRequest({ 'sec-websocket-protocol': `bearer.${KEY}` })).toBeUndefined();
  });
});

describe("the key of a socket's handshake", () => {
  it.each([
    ['the second subprotocol', `llm-chat.v1, bearer.${KEY}`, KEY],
    ['the only subprotocol', `bearer.${KEY}`, KEY],
    ['a list without spaces', `llm-chat.v1,bearer.${KEY}`, KEY],
    ['no bearer', 'llm-chat.v1', undefined],
    ['an empty list', '', undefined],
  ])('is read from %s', (_, protocols, key) => {
    expect(credentialsOfSocket({ 'sec-websocket-protocol': protocols })).toBe(key);
  });

  it('is the one of the header first', () => {
    const headers = { authorization: `Bearer ${KEY}`, 'sec-websocket-protocol': 'llm-chat.v1, bearer.other' };
    expect(credentialsOfSocket(headers)).toBe(KEY);
  });
});

describe('the subprotocol that is answered', () => {
  it('is llm-chat.v1 where it is offered', () => {
    expect(selectSubprotocol(new Set([`bearer.${KEY}`, 'llm-chat.v1']))).toBe('llm-chat.v1');
  });

  it.each([[[]], [[`bearer.${KEY}`]], [['llm-chat.v2', 'LLM-CHAT.V1']]])('is none for %s', (offered) => {
    expect(selectSubprotocol(new Set<string>(offered))).toBe(false);
  });
});
