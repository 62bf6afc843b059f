/**
 * A client that survives a broken connection: `npx node examples/socket-client.ts`, while `npm start` runs.
 * It needs nothing but the WebSocket of Node or of a browser. To show what it can, it breaks the connection itself,
 * once, after the third piece of text; the reply goes on meanwhile, and no word is lost or said twice.
 */
const url = process.argv[2] ?? 'ws://localhost:3000/ws';
const message = process.argv[3] ?? 'Hello! What is a durable reply?';
const key = process.env['KEY'];

const BREAK_AFTER = 3;
const MAX_WAIT_MS = 5_000;

interface Frame {
  readonly event: string;
  readonly data: {
    readonly message_id?: string;
    readonly seq?: number;
    readonly channel?: string;
    readonly text?: string;
    readonly response?: string;
    readonly error?: string;
    readonly code?: string;
  };
}

/** All that a client keeps of a reply: its id, the last event that it has seen, and the text so far. */
const seen = { messageId: '', seq: 0, text: '', deltas: 0, isDone: false };
const request = { conversation_id: `socket-${Date.now()}`, request_id: crypto.randomUUID(), message };
let attempts = 0;
let hasBroken = false;

const connect = (): void => {
  const socket = new WebSocket(url, key === undefined ? ['llm-chat.v1'] : ['llm-chat.v1', `bearer.${key}`]);
  socket.addEventListener('open', () => {
    attempts = 0;
    // Before the reply's id is known, the same request with the same request_id finds it; after, llm_resume does.
    const frame =
      seen.messageId === ''
        ? { event: 'llm_request', data: request }
        : { event: 'llm_resume', data: { message_id: seen.messageId, seq: seen.seq, at: seen.text.length } };
    socket.send(JSON.stringify(frame));
  });
  socket.addEventListener('message', ({ data }) => {
    onFrame(JSON.parse(String(data)));
    const isToBreak = !hasBroken && seen.deltas === BREAK_AFTER;
    hasBroken ||= isToBreak;
    if (seen.isDone || isToBreak) socket.close();
  });
  socket.addEventListener('close', () => {
    if (seen.isDone) return;
    const waitMs = Math.min(MAX_WAIT_MS, 100 * 2 ** attempts++);
    process.stdout.write(`\n[connection lost behind event ${seen.seq}; trying again in ${waitMs} ms]\n`);
    setTimeout(connect, waitMs);
  });
};

const onFrame = ({ event, data }: Frame): void => {
  const isOld = data.seq !== undefined && data.seq <= seen.seq;
  if (isOld && event !== 'llm_rewind') return; // on its way while the connection broke
  if (event === 'llm_accepted') seen.messageId = data.message_id ?? '';
  if (event === 'llm_rewind' && data.channel === 'content') {
    seen.text = data.text ?? ''; // what is stored is not what we had: the whole text is given anew
    process.stdout.write(`\n[told anew]\n${seen.text}`);
  }
  if (event === 'llm_delta' && data.channel === 'content') {
    seen.text += data.text ?? '';
    seen.deltas += 1;
    process.stdout.write(data.text ?? '');
  }
  if (data.seq !== undefined) seen.seq = data.seq;
  if (event === 'llm_response')
    finish(data.response === seen.text ? 'complete: nothing lost, nothing twice' : 'DIFFERENT');
  if (event === 'llm_error') finish(`failed: ${data.code}: ${data.error}`);
};

const finish = (sentence: string): void => {
  seen.isDone = true;
  process.stdout.write(`\n[${sentence}]\n`);
};

connect();
