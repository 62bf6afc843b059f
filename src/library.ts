/**
 * What the package gives to other programs: the service without a wire. Open it with settings, await `initialize()`
 * before use and `close()` at the end; every answer says first whether it worked.
 */
export { openChatService, type ServiceObserver, type Surroundings } from './service.ts';
export { ConfigError, loadEnvironment, parseConfig, type Config, type Variables } from './config.ts';

export { LLMChatService } from './chat/llm-chat-service.ts';
export type { GenerateOptions } from './chat/chat-request.ts';
export type {
  ConversationList,
  CreatedConversation,
  CreateOptions,
  ListOptions,
  MessagePage,
  OwnerOption,
  PageOptions,
  WatchOptions,
} from './chat/conversations.ts';
export type { ServiceHealth } from './chat/health.ts';
export type {
  Accepted,
  CancelResult,
  ChatUpdate,
  ConversationView,
  Failure,
  Reply,
  ReplyReference,
  ReplyView,
  Result,
} from './chat/results.ts';

export { LLMError, type ErrorCode } from './errors.ts';
