import { ProviderError } from './errors.js';
import { settings as declared } from './manifest.js';

const form = 'use lmdb:///path/of/folder?parameter=value';

const invalid = (message) => new ProviderError('INVALID', message);

/**
 * Reads the URL of a database.
 * @param {string} text
 * @returns {{folder: string, history: number, historyBytes: number}}
 */
export function parse(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw invalid(`the URL cannot be read; ${form}`);
  }
  if (url.protocol !== 'lmdb:') throw invalid(`the scheme of the URL is not lmdb; ${form}`);
  if (url.host || url.username || url.password) {
    throw invalid(`the URL names a host or a user, but an LMDB database has none: write three slashes; ${form}`);
  }
  const values = parameters(url.searchParams);
  return { folder: folder(url), history: values.get('history'), historyBytes: values.get('history-bytes') };
}

function folder({ pathname }) {
  let path;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    throw invalid('the path of the URL cannot be read; escape reserved characters as %XX');
  }
  path = path.replace(/\/+$/, '');
  if (!path.startsWith('/') || path.includes('\0')) throw invalid(`the URL names no folder; ${form}`);
  return path;
}

function parameters(query) {
  const values = new Map();
  for (const [name, value] of query) {
    const setting = declared.find((s) => s.name === name);
    if (!setting) throw invalid(`unknown parameter ${JSON.stringify(name)}; accepted: ${declared.map((s) => s.name).join(', ')}`);
    if (values.has(name)) throw invalid(`parameter "${name}" is given more than once; give it once`);
    values.set(name, integer(setting, value));
  }
  for (const { name, default: value } of declared) {
    if (!values.has(name)) values.set(name, Number(value));
  }
  return values;
}

function integer({ name, min }, value) {
  const n = /^\d{1,15}$/.test(value) ? Number(value) : NaN;
  if (!(n >= min)) throw invalid(`parameter "${name}" has the value ${JSON.stringify(value)}, which is not a whole number of at least ${min}`);
  return n;
}
