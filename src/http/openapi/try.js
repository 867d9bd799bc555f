'use strict';
// Renders a form for every operation of openapi.json, and shows its responses. Texts are set as text, never as HTML.
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
  const url = address.slice(1) + (query.size ? '?' + query : '');
  out.textContent = '…';
  try {
    const answer = await fetch(url, { method: method.toUpperCase(), headers: given, body: body ? body.value : undefined });
    let text = await answer.text();
    try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: unchanged */ }
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
  const body = content && make('textarea', { value: JSON.stringify(example(api, content.schema), null, 2), ariaLabel: 'Body' });
  const out = make('pre', { tabIndex: 0, ariaLabel: 'Response' });
  const form = make('form', {},
    make('p', { textContent: operation.description || '' }),
    make('div', { className: 'fields' }, ...fields.map(([, , label]) => label)),
    ...(body ? [body] : []), make('p', {}, make('button', { textContent: 'Send' })), out);
  form.addEventListener('submit', event => {
    event.preventDefault();
    send(api, method, path, operation, fields, body, out);
  });
  const shown = isStream(operation) ? make('p', { textContent: operation.description }) : form;
  return make('details', {},
    make('summary', {}, make('b', { textContent: method.toUpperCase() }), make('code', { textContent: path }), ' ' + (operation.summary || '')), shown);
}

async function load() {
  const answer = await fetch('openapi.json', { headers: headers() });
  const shown = $('operations');
  if (!answer.ok) {
    shown.replaceChildren(make('p', { textContent: `${answer.status}: ${(await answer.json()).detail}` }));
    return;
  }
  const api = await answer.json();
  $('title').textContent = document.title = 'Try ' + api.info.title;
  shown.replaceChildren(...Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => render(api, path, method, operation))));
}

$('who').addEventListener('submit', event => { event.preventDefault(); load(); });
load();
