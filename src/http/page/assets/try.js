'use strict';
// Renders a form for every operation of openapi.json, and shows its responses. Texts are set as text, never as HTML. The open
// operation is in the address, so that it can be linked to and the back button works.
const $ = id => document.getElementById(id);

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function headers() {
  const given = {};
  if ($('token').value) given['Authorization'] = 'Bearer ' + $('token').value;
  if ($('actor').value) given['Annals-Actor'] = $('actor').value;
  return given;
}

const resolve = (api, schema) =>
  schema && schema.$ref ? schema.$ref.slice(2).split('/').reduce((at, key) => at && at[key], api) : schema;

// An example value of a schema.
function example(api, schema, depth = 0) {
  schema = resolve(api, schema) || {};
  if (depth > 6) return null;
  if (schema.examples && schema.examples.length) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choice = schema.oneOf || schema.anyOf || schema.allOf;
  if (choice && choice.length) return example(api, choice[0], depth + 1);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === 'object') {
    return Object.fromEntries((schema.required || []).map(key => [key, example(api, (schema.properties || {})[key], depth + 1)]));
  }
  return { array: [], string: '', integer: 0, number: 0, boolean: false }[type] ?? null;
}

// JSON with line breaks. Each number stays as it was sent: JSON.parse would round those above 2^53.
function pretty(text) {
  JSON.parse(text); // an error if it is not JSON
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) || [];
  const opens = token => token === '{' || token === '[';
  const closes = token => token === '}' || token === ']';
  let depth = 0;
  const line = () => '\n' + '  '.repeat(depth);
  return tokens.map((token, n) => {
    if (opens(token)) {
      depth += 1;
      return closes(tokens[n + 1]) ? token : token + line();
    }
    if (closes(token)) {
      depth -= 1;
      return opens(tokens[n - 1]) ? token : line() + token;
    }
    return token === ',' ? ',' + line() : token === ':' ? ': ' : token;
  }).join('');
}

async function send(api, method, path, operation, fields, body, out) {
  const query = new URLSearchParams();
  const given = headers();
  let address = path;
  for (const [parameter, input] of fields) {
    const value = input.value;
    if (parameter.in === 'path') address = address.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (!value) continue;
    else if (parameter.in === 'header') given[parameter.name] = value;
    else value.split('\n').forEach(one => query.append(parameter.name, one));
  }
  if (body) given['Content-Type'] = 'application/json';
  const url = base + address + (query.size ? '?' + query : '');
  out.textContent = '…';
  try {
    const answer = await fetch(url, { method: method.toUpperCase(), headers: given, body: body ? body.value : undefined });
    let text = await answer.text();
    try { text = pretty(text); } catch { /* not JSON: unchanged */ }
    out.textContent = `${method.toUpperCase()} ${url}\n${answer.status} ${answer.statusText}\n\n${text.slice(0, 200000)}`;
  } catch (error) {
    out.textContent = String(error);
  }
}

// A stream has no single response: it is only described.
const isStream = ({ responses: { 101: socket, 200: ok } }) => socket || (ok && ok.content && ok.content['text/event-stream']);

function render(api, path, method, operation) {
  const fields = (operation.parameters || []).map(parameter => {
    const schema = resolve(api, parameter.schema) || {};
    const many = schema.type === 'array' || (Array.isArray(schema.type) && schema.type.includes('array'));
    const input = make(many ? 'textarea' : 'input', { required: !!parameter.required, rows: 1, title: parameter.description || '' });
    if (many) input.placeholder = 'one per line';
    const label = make('label', {}, make('span', { textContent: parameter.name, className: parameter.required ? 'required' : '' }), input);
    return [parameter, input, label];
  });
  const content = operation.requestBody && operation.requestBody.content['application/json'];
  const body = content && make('textarea', { className: 'body', value: JSON.stringify(example(api, content.schema), null, 2), ariaLabel: 'Body' });
  const out = make('pre', { tabIndex: 0, role: 'region', ariaLabel: 'Response' });
  const form = make('form', {},
    make('p', { textContent: operation.description || '' }),
    make('div', { className: 'fields' }, ...fields.map(([, , label]) => label)),
    ...(body ? [body] : []), make('p', {}, make('button', { textContent: 'Send', className: 'main' })), out);
  form.addEventListener('submit', event => {
    event.preventDefault();
    send(api, method, path, operation, fields, body, out);
  });
  const shown = isStream(operation) ? make('p', { textContent: operation.description }) : form;
  const details = make('details', { className: 'operation sheet', id: `${method}${path}` },
    make('summary', {}, make('b', { textContent: method.toUpperCase() }), make('code', { textContent: path }), ' ' + (operation.summary || '')), shown);
  // Opened by the user: the address names it. Opened by the address: it names it already.
  details.addEventListener('toggle', () => {
    if (details.open && named() !== details.id) location.hash = details.id;
  });
  return details;
}

// The operation that the address names.
const named = () => {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ''; }
};

// Opens that operation, and closes the others.
function open() {
  for (const details of document.querySelectorAll('.operation')) details.open = details.id === named();
  $(named())?.scrollIntoView({ block: 'nearest' });
}

async function load() {
  const answer = await fetch($('operations').dataset.document, { headers: headers() });
  const shown = $('operations');
  if (!answer.ok) {
    shown.replaceChildren(make('p', { textContent: `${answer.status}: ${(await answer.json()).detail}` }));
    return;
  }
  const api = await answer.json();
  shown.replaceChildren(...Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => render(api, path, method, operation))));
  open();
}

const base = $('operations').dataset.base;
window.addEventListener('hashchange', open);
$('who').addEventListener('submit', event => { event.preventDefault(); load(); });
load();
