import type { IncomingHttpHeaders } from 'node:http';
import { hostname } from 'node:os';

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\]|0\.0\.0\.0)$/;
const PRIVATE = /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)[\d.]+$/;
const LOCAL_SUFFIX = /\.(?:localhost|local|internal)$/;
const APP_ORIGIN = /^(?:app|file|tauri|vscode-webview|vscode-file):\/\//;

/** Whether Ollama on loopback would hear a request with these headers; it answers others with an empty 403. */
export const isAllowed = ({ host, origin }: IncomingHttpHeaders): boolean =>
  (origin === undefined || isAllowedOrigin(origin)) && isAllowedHost((host ?? '').replace(/:\d+$/, '').toLowerCase());

const isAllowedOrigin = (origin: string): boolean =>
  APP_ORIGIN.test(origin) || LOOPBACK.test(origin.replace(/^https?:\/\//, '').replace(/:\d+$/, ''));

const isAllowedHost = (name: string): boolean =>
  name === '' ||
  name === hostname().toLowerCase() ||
  [LOOPBACK, PRIVATE, LOCAL_SUFFIX].some((allowed) => allowed.test(name));
