// Runs a program and then its tests in one realm of Node, and reports when the tests have ended without a failure.
//
// Both files are gone before the program runs. The secret is read first and kept as bytes outside of the heap; the tests get the
// `process` whose `exit` reports, and the modules that compare as they were before the program ran.
'use strict';
const [nonce] = process.argv.splice(2, 1);
const fs = require('fs'), vm = require('vm'), path = require('path');
const done = Buffer.alloc(33);
for (let n = 0; n < 32; ) n += fs.readSync(3, done, n, 32 - n);
done[32] = 48;
fs.closeSync(3);
let program = fs.readFileSync('program.js', 'utf8'), tests = fs.existsSync('tests.js') ? fs.readFileSync('tests.js', 'utf8') : '';
if (!tests) [program, tests] = program.split(new RegExp(`^.*"${nonce}";.*$`, 'm')); // compiled together
for (const name of ['program.js', 'tests.js', 'run.js']) fs.rmSync(name, { force: true });

const { writeSync } = fs, { reallyExit, stderr } = process, real = process;
const { apply, ownKeys } = Reflect, { defineProperty, getOwnPropertyDescriptor } = Object;
const source = Function.prototype.toString, includes = String.prototype.includes;
let failed = false, reported = false;

function end(code) {
  if (code === 0 && !failed && !reported) writeSync(4, done);
  reported = true;
}
function fail(error) {
  failed = true;
  try { writeSync(2, `${error && error.stack || error}\n`.slice(0, 4000)); } catch {}
  apply(reallyExit, real, [1]);
}

const comparing = new Map(['assert', 'assert/strict', 'util'].map((name) => [name, require(name)]));
const intrinsics = [JSON, Math, Object, Array, Number, String, Reflect, Promise, Array.prototype, String.prototype, Number.prototype,
  Map.prototype, Set.prototype, Promise.prototype, RegExp.prototype, Date.prototype, Object.prototype, Function.prototype];
const overridden = new Set(['toString', 'toLocaleString', 'valueOf', 'constructor', 'toJSON', 'name', 'length', 'caller', 'arguments', 'callee']);
const before = intrinsics.map((object) => ownKeys(object).map((key) => [key, getOwnPropertyDescriptor(object, key)]));

function freeze(value) {
  for (const key of ownKeys(value)) {
    const { value: inner } = getOwnPropertyDescriptor(value, key);
    if (typeof inner === 'function' && inner !== value && !Object.isFrozen(inner)) Object.freeze(inner);
  }
  Object.freeze(value);
}
for (const module of [comparing.get('assert'), comparing.get('assert/strict')]) freeze(module);
for (const [module, names] of [['v8', ['writeHeapSnapshot', 'getHeapSnapshot']], ['inspector', ['Session', 'open', 'console']]]) {
  try { for (const name of names) delete require(module)[name]; } catch {}
}
for (const name of ['binding', '_linkedBinding', 'dlopen']) defineProperty(process, name, { value: undefined });
defineProperty(Error, 'prepareStackTrace', { value: undefined, writable: false, configurable: false });
const hiding = { toString() {
  const text = apply(source, this, []);
  return apply(includes, tests, [text]) && !apply(includes, program, [text]) ? 'function () { [native code] }' : text;
} }.toString;
defineProperty(Function.prototype, 'toString', { value: hiding, writable: false, configurable: false });

function restore() { // what comparisons in tests rest on means what it meant before the program ran, and stays so
  intrinsics.forEach((object, i) => {
    for (const [key, was] of before[i]) {
      const now = getOwnPropertyDescriptor(object, key);
      if (now && !now.configurable) continue;
      if (!now || now.value !== was.value || now.get !== was.get) defineProperty(object, key, was);
      if (typeof was.value === 'function' && !overridden.has(key)) {
        defineProperty(object, key, { writable: false, configurable: false });
      }
    }
  });
  assertLoudly();
  for (const event of ['uncaughtException', 'unhandledRejection', 'beforeExit', 'exit']) real.removeAllListeners(event);
}

const { console } = globalThis, { AssertionError } = comparing.get('assert');
function assertLoudly() { // Node only prints what `console.assert` found wrong; in tests it is a failed assertion
  const value = (condition, ...words) => { if (!condition) throw new AssertionError({ message: words.join(' ') || 'console.assert failed' }); };
  defineProperty(console, 'assert', { value, writable: false, configurable: false });
  defineProperty(globalThis, 'console', { value: console, writable: false, configurable: false });
}

const file = path.resolve('main.js'), load = vm.constants && vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
const options = { filename: file, ...(load && { importModuleDynamically: load }) };
const names = ['exports', 'require', 'module', '__filename', '__dirname'];
const isModule = /^[ \t]*(?:import[ \t{*'"]|export[ \t{*])/m;
module.filename = file;
const own = require;

function testing() {
  const settled = (status) => (status === undefined ? real.exitCode || 0 : status);
  return Object.create(real, {
    exit: { value(status) { end(settled(status)); return real.exit(status); } },
    reallyExit: { value(status) { end(settled(status)); return apply(reallyExit, real, [status]); } },
    exitCode: { get: () => real.exitCode, set: (status) => { real.exitCode = status; } },
  });
}

async function together() { // ECMAScript modules cannot be cut in two
  const word = `_${nonce}`, text = tests.replace(/\bprocess\.(?:exit|reallyExit)\s*\(/g, `${word}.exit(`);
  defineProperty(globalThis, word, { value: testing() });
  assertLoudly();
  fs.writeFileSync('main.mjs', `${program}\n${text}\n`);
  const url = require('url').pathToFileURL(path.resolve('main.mjs'));
  await import(url);
}

real.setUncaughtExceptionCaptureCallback(fail);
const finished = () => end(real.exitCode || 0);
if (isModule.test(program) || isModule.test(tests)) {
  together().then(() => real.on('beforeExit', finished), fail);
} else {
  try {
    vm.compileFunction(`${program}\n${tests}`, names, options); // what `node` refuses, it refuses here
    const space = { exports: module.exports, require: own, module, __filename: file, __dirname: path.dirname(file) };
    for (const name of names) globalThis[name] = space[name];
    // `'use strict'` counts at the start of the file, where the program stands
    const strict = /^(?:\s|\/\/.*\n|\/\*[^]*?\*\/)*(?:'use strict'|"use strict")/.test(program) ? "'use strict';" : ';';
    const run = vm.compileFunction(`return function (${names}) {${strict}${tests}\n}`, ['process'], { ...options, lineOffset: program.split('\n').length });
    vm.runInThisContext(program, options);
    restore();
    real.on('beforeExit', finished);
    comparing.set('process', testing());
    const requiring = (name) => comparing.get(String(name).replace(/^node:/, '')) || own(name);
    Object.assign(requiring, own, { main: module });
    run(comparing.get('process'))(module.exports, requiring, module, file, path.dirname(file));
  } catch (error) {
    fail(error);
  }
}
