import { buildAsyncApi } from '../../protocol/asyncapi.ts';
import { toFields, toForms, type FieldWords, type Schema } from './schema-words.ts';

/**
 * The socket's events as a page for people, made from the AsyncAPI document: no script, one file, and readable on a
 * phone.
 */
export const toSocketPage = (version: string): string => {
  const document: Document = JSON.parse(JSON.stringify(buildAsyncApi(version)));
  const { info, operations, components } = document;
  const toEvents = ({ messages }: Operation): readonly Message[] =>
    messages.map(({ $ref }) => components.messages[toName($ref)]).filter((message) => message !== undefined);
  const sections = [
    { id: 'client', title: 'From client to service', events: toEvents(operations.receive) },
    { id: 'service', title: 'From service to client', events: toEvents(operations.send) },
  ];
  const resolve = (reference: string): Schema => components.schemas[toName(reference)] ?? {};
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The socket’s events</title>
<style>${STYLE}</style>
</head>
<body>
<nav><a href="./">HTTP</a> · <strong>Socket</strong> · <a href="../asyncapi.yaml">asyncapi.yaml</a></nav>
<h1>The socket’s events</h1>
<p>A WebSocket at <code>/ws</code>. The same events come as server-sent events over HTTP, where a request asks for them:
<code>POST /generate_response</code> with <code>"stream": true</code>, and <code>GET /replies/{message_id}/events</code>.</p>
${toBlocks(info.description)}
${sections.map(({ title, events }) => `<h2>${title}</h2>\n${toIndex(events)}`).join('\n')}
${sections.flatMap(({ events }) => events.map((event) => toSection(event, resolve))).join('\n')}
</body>
</html>
`;
};

/** Of the document, what the page shows. */
interface Document {
  readonly info: { readonly description: string };
  readonly operations: Readonly<Record<'receive' | 'send', Operation>>;
  readonly components: {
    readonly messages: Readonly<Record<string, Message>>;
    readonly schemas: Readonly<Record<string, Schema>>;
  };
}

interface Operation {
  readonly messages: readonly { readonly $ref: string }[];
}

interface Message {
  readonly name: string;
  readonly summary: string;
  readonly payload: { readonly properties: { readonly data: Schema } };
  readonly examples: readonly { readonly payload: unknown }[];
}

const STYLE = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
code, pre { font: 0.875em/1.4 ui-monospace, monospace; }
code { overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: 0.75rem; border: 1px solid #8884; border-radius: 6px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1rem; }
dt, dd { margin: 0; }
section { border-top: 1px solid #8884; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: 0.35rem 0.75rem 0.35rem 0; border-bottom: 1px solid #8884; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; }
  dd { margin-bottom: 0.5rem; }
  thead { display: none; }
  tr, td { display: block; border: 0; padding: 0; }
  tr { border-bottom: 1px solid #8884; padding: 0.5rem 0; }
}`;

const toIndex = (events: readonly Message[]): string =>
  `<dl>\n${events
    .map(({ name, summary }) => `<dt><a href="#${name}"><code>${name}</code></a></dt><dd>${toInline(summary)}</dd>`)
    .join('\n')}\n</dl>`;

const toSection = ({ name, summary, payload, examples }: Message, resolve: (reference: string) => Schema): string => {
  const forms = toForms(payload.properties.data, resolve);
  const tables = forms.map((form) => toTable(toFields(form, resolve))).filter((table) => table !== '');
  return `<section id="${name}">
<h3><code>${name}</code></h3>
<p>${toInline(summary)}</p>
${tables.join('\n<p>or</p>\n') || '<p>Its data may be anything.</p>'}
${examples.map(({ payload: example }) => `<pre>${escapeHtml(JSON.stringify(example, null, 2))}</pre>`).join('\n')}
</section>`;
};

const toTable = (fields: readonly FieldWords[]): string =>
  fields.length === 0
    ? ''
    : `<table>
<thead><tr><th>Field</th><th>Value</th><th></th></tr></thead>
<tbody>
${fields.map(toRow).join('\n')}
</tbody>
</table>`;

const toRow = ({ name, type, isRequired, about }: FieldWords): string =>
  `<tr><td><code>${escapeHtml(name)}</code>${isRequired ? '' : ' <small>optional</small>'}</td>` +
  `<td><code>${escapeHtml(type)}</code></td><td>${toInline(about)}</td></tr>`;

/** Paragraphs and lists of Markdown; the document uses no more of it. */
const toBlocks = (markdown: string): string =>
  markdown
    .split('\n\n')
    .map((block) => {
      if (!block.startsWith('- ')) return `<p>${toInline(block)}</p>`;
      const items = block.slice(2).split('\n- ');
      return `<ul>\n${items.map((item) => `<li>${toInline(item)}</li>`).join('\n')}\n</ul>`;
    })
    .join('\n');

const toInline = (markdown: string): string =>
  escapeHtml(markdown)
    .replaceAll(/`([^`]+)`/g, '<code>$1</code>')
    .replaceAll(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>');

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeHtml = (text: string): string => text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? '');

/** The last part of a reference. */
const toName = (reference: string): string => reference.slice(reference.lastIndexOf('/') + 1);
