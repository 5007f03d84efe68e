// A Node.js that waits for its program: the counterpart of program.py for JavaScript.
//
// One job: load, tell that it is ready, take one request, run the script as `node SCRIPT` would. It runs
// with the program's rights from its beginning. Descriptors: 3 the request, 4 where it tells.
"use strict";
const fs = require("fs");
const path = require("path");
const Module = require("module");

const REQUEST = 3;
const TOLD = 4;
const HEADER_BYTES = 5;
const READ_BYTES = 1 << 16; // a pipe's capacity
const FOLDERS = { t: ["/tool", 0o555], w: ["/work", 0o644] };

function readRequest() {
  const command = [];
  let pieces = [];
  let held = 0;
  let needed = HEADER_BYTES; // joined only when a frame is whole: a large one comes in many pieces
  for (;;) {
    const piece = Buffer.allocUnsafe(READ_BYTES);
    const count = fs.readSync(REQUEST, piece, 0, READ_BYTES, null);
    if (count === 0) throw new Error("protocol");
    pieces.push(piece.subarray(0, count));
    held += count;
    if (held < needed) continue;
    let data = Buffer.concat(pieces);
    for (;;) {
      needed = HEADER_BYTES + (data.length < HEADER_BYTES ? 0 : data.readUInt32BE(1));
      if (data.length < needed) break;
      const kind = String.fromCharCode(data[0]);
      const payload = data.subarray(HEADER_BYTES, needed);
      data = data.subarray(needed);
      if (kind === "g") return [command, payload.toString().split(" ")[2] === "1"];
      if (kind === "a") command.push(payload.toString());
      else if (kind === "v") setVariable(payload.toString());
      else if (kind in FOLDERS) putFile(kind, payload);
    }
    pieces = [data];
    held = data.length;
  }
}

function setVariable(text) {
  const at = text.indexOf("=");
  process.env[text.slice(0, at)] = text.slice(at + 1);
}

function putFile(kind, payload) {
  const length = payload.readUInt16BE(0);
  const name = payload.subarray(2, 2 + length).toString();
  if (!name || name === "." || name === ".." || /[/\0]/.test(name)) throw new Error("protocol");
  const [folder, mode] = FOLDERS[kind];
  try {
    const target = path.join(folder, name);
    fs.rmSync(target, { recursive: true, force: true });
    const flags = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_NOFOLLOW;
    const fd = fs.openSync(target, flags, 0o600);
    fs.writeFileSync(fd, payload.subarray(2 + length));
    fs.fchmodSync(fd, mode);
    fs.closeSync(fd);
  } catch {
    throw new Error("files");
  }
}

function main() {
  fs.writeSync(TOLD, "r");
  let command;
  try {
    const [words, collects] = readRequest();
    fs.closeSync(REQUEST);
    command = words;
    if (collects) fs.mkdirSync("/work/out", { recursive: true });
  } catch (error) {
    fs.writeSync(TOLD, "f" + (/^(protocol|files)$/.test(error.message) ? error.message : "!" + error.message));
    process.exit(127);
  }
  fs.closeSync(TOLD); // it has started
  process.argv = [process.execPath, path.resolve(command[1]), ...command.slice(2)];
  delete require.cache[__filename];
  Module.runMain();
}

main();
