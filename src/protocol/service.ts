import { z } from 'zod';

/** Answers about the service itself: what there is, and how it is. */

export const Model = z
  .object({
    name: z.string(),
    provider: z.string().describe('The kind of backend.'),
    host: z.string().optional().describe('Where it would answer first.'),
    hosts: z
      .array(z.object({ host: z.string(), loaded: z.boolean() }))
      .optional()
      .describe('All hosts that have it.'),
    loaded: z.boolean().describe('Whether it is in memory on a host, and answers there without being loaded first.'),
    context_window: z.int().describe('Tokens of prompt and answer together, as used here.'),
    capabilities: z
      .array(z.string())
      .describe('What it can do, in the backend’s words: completion, thinking, vision …'),
  })
  .meta({ id: 'Model', description: 'A model that can be asked for.' });

export const Models = z
  .object({ success: z.literal(true), models: z.array(Model) })
  .meta({ id: 'Models', description: 'What can be asked for.' });

export const Health = z
  .object({
    success: z.boolean().describe('Whether it takes requests.'),
    status: z.enum(['ok', 'degraded', 'unavailable']).describe('degraded: it answers, but its backend does not.'),
    store: z.object({ status: z.enum(['up', 'down']) }),
    backend: z.object({
      provider: z.string(),
      status: z.enum(['up', 'down']).describe('up: at least one host is.'),
      host: z.string().optional(),
      version: z.string().optional(),
      hint: z.string().optional().describe('What to do about it.'),
      hosts: z
        .array(
          z.object({
            host: z.string().describe('Its address; in production its place in OLLAMA_BASE_URL: host-1, host-2 …'),
            status: z
              .enum(['up', 'suspect', 'trial', 'down'])
              .describe('suspect: it was silent, and is asked last. trial: it failed, and the next reply will show.'),
            version: z.string().optional(),
            models: z.array(z.string()).describe('Those that it has.'),
            loaded: z.array(z.string()).describe('Those that are in its memory.'),
            running: z.int().min(0).describe('Replies of this instance that it makes now.'),
            slots: z.int().min(1).describe('How many replies of this instance it may make at once.'),
            hint: z.string().optional().describe('What to do about it.'),
          }),
        )
        .describe('In the order of OLLAMA_BASE_URL.'),
    }),
    fallback: z.string().optional().describe('Who answers until the backend does for the first time.'),
    queue: z
      .object({ waiting: z.int().min(0), serving: z.int().min(0) })
      .describe('Requests of this instance that wait for a slot, and that have one.'),
    running: z.int().min(0).describe('Replies that this instance writes now.'),
    draining: z.boolean().describe('It is stopping, and takes no new requests.'),
  })
  .meta({ id: 'Health', description: 'How the service, its store and its backend are.' });

export type Health = z.infer<typeof Health>;

export const Alive = z
  .object({ success: z.boolean().describe('The answer: yes or no.') })
  .meta({ id: 'Alive', description: 'Yes or no.' });
