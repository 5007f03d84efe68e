// Runs a script as Auxot's code tool does: console lines on stdout, the last expression's value back.
//
// One job: that, in the box. What stands before this text, written by `code_executor.py`: CODE, the
// script; MARK, what the line on stderr begins with that tells the end; RETURN_CHARS. Nothing here
// is seen by the script, which runs as one of its own in this realm.
const fs = require('fs');
const util = require('util');
const vm = require('vm');
const { pathToFileURL } = require('url');
const writeOut = process.stdout.write.bind(process.stdout);
const writeErr = process.stderr.write.bind(process.stderr);
const { stringify } = JSON;
const ERROR_CHARS = 4000;
const MODULE = '/work/.code.mjs';
let ending = {};

const shown = (one) => (typeof one === 'string' ? one : util.inspect(one));
const printer = (prefix) => (...values) => {
  writeOut(`${prefix}${values.map(shown).join(' ')}\n`);
};
Object.assign(console, {
  log: printer(''),
  info: printer(''),
  warn: printer('[warn] '),
  error: printer('[error] '),
  debug: printer('[debug] '),
});

function saidBy(error) {
  if (!(error instanceof Error)) return shown(error).slice(0, ERROR_CHARS);
  const place = /code\.m?js:(\d+)/.exec(String(error.stack));
  const text = `${error.name}: ${error.message}`.slice(0, ERROR_CHARS);
  return place ? `${text} (line ${place[1]})` : text;
}

function returned(value) {
  if (value === undefined || value === null) return {};
  if (typeof value === 'number' && !Number.isFinite(value)) return { unfit: String(value) };
  try {
    const text = stringify(value);
    if (text === undefined) return { unfit: `a ${typeof value}` };
    if (text.length > RETURN_CHARS) return { long: text.length };
    return { value: JSON.parse(text) };
  } catch (error) {
    return { unfit: saidBy(error) };
  }
}

function fail(error) {
  ending = { error: saidBy(error) };
  process.exitCode = 1;
}

function tell() {
  let text;
  try {
    text = stringify(ending);
  } catch {
    text = '{}';
  }
  writeErr(`\n${MARK}${text}\n`);
}

// Told at once too: a timer that stays open keeps the process until its time is over.
function settle(value) {
  ending = returned(value);
  tell();
}

function end(value) {
  if (value === null || typeof value !== 'object' || typeof value.then !== 'function') settle(value);
  else value.then(settle, fail);
}

// Whether something awaits outside of any function.
function awaits(node) {
  if (node === null || typeof node !== 'object' || /Function/.test(node.type)) return false;
  return node.type === 'AwaitExpression' || node.await === true || Object.values(node).some(awaits);
}

// Only a module may import, export and await at its top. Its value is its default export: here the
// last expression, if nothing else is. Empty for what is no module.
function asModule() {
  if (!/\b(import|export|await)\b/.test(CODE)) return '';
  let body;
  try {
    const options = { ecmaVersion: 'latest', sourceType: 'module', allowHashBang: true };
    ({ body } = require('acorn').parse(CODE, options));
  } catch {
    return ''; // it is told by Node what is wrong with it
  }
  const kinds = body.map((one) => one.type);
  if (!kinds.some((kind) => /^(Import|Export).*Declaration$/.test(kind)) && !body.some(awaits)) return '';
  const last = body[body.length - 1];
  if (kinds.includes('ExportDefaultDeclaration') || last.type !== 'ExpressionStatement') return CODE;
  const { start, end: stop } = last.expression;
  return `${CODE.slice(0, last.start)};export default (${CODE.slice(start, stop)}\n)`;
}

function runModule(text) {
  fs.writeFileSync(MODULE, text);
  return import(pathToFileURL(MODULE)).then((loaded) => loaded.default);
}

function run() {
  const text = asModule();
  if (text) return runModule(text);
  let script;
  try {
    script = new vm.Script(CODE, { filename: 'code.js' });
  } catch (error) {
    if (!/^\s*(import|export)\b|\bawait\b/m.test(CODE)) throw error;
    return runModule(CODE);
  }
  // A script of `vm` cannot call import(); what `eval` runs can.
  if (/\bimport\s*\(/.test(CODE)) return (0, eval)(`${CODE}\n//# sourceURL=code.js`);
  return script.runInThisContext();
}

process.on('exit', tell);
process.on('uncaughtException', (error) => {
  fail(error);
  process.exit(1);
});
globalThis.require = require;
globalThis.crypto ??= require('crypto').webcrypto; // Node.js 18 has it there only
try {
  end(run());
} catch (error) {
  fail(error);
}
