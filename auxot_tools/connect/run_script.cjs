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

function end(value) {
  if (value === null || typeof value !== 'object' || typeof value.then !== 'function') {
    ending = returned(value);
    return;
  }
  value.then((settled) => { ending = returned(settled); }, fail);
}

function run() {
  let script;
  try {
    script = new vm.Script(CODE, { filename: 'code.js', importModuleDynamically: (name) => import(name) });
  } catch (error) {
    // Only a module may import, export and await at its top; its value is its default export.
    if (!/^\s*(import|export)\b|\bawait\b/m.test(CODE)) throw error;
    fs.writeFileSync(MODULE, CODE);
    return import(pathToFileURL(MODULE)).then((loaded) => loaded.default);
  }
  return script.runInThisContext();
}

process.on('exit', () => {
  let text;
  try {
    text = stringify(ending);
  } catch {
    text = '{}';
  }
  writeErr(`\n${MARK}${text}\n`);
});
process.on('uncaughtException', (error) => {
  fail(error);
  process.exit(1);
});
globalThis.require = require;
try {
  end(run());
} catch (error) {
  fail(error);
}
