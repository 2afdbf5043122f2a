// Calls xds targets by @grpc/grpc-js with grpc-js-xds. ../README.md has the contract that all callers share.
"use strict";

const grpc = require("@grpc/grpc-js");
require("@grpc/grpc-js-xds").register();

const METHOD = "/rollcall.e2e.Who/Answers";
const DEADLINE_MS = 3000;
// A google.protobuf.StringValue shorter than 128 bytes: a tag, a length, the text.
const HEAD = 2;

const bytes = (value) => value;

function callForEver(name, target, pauseMs) {
  const client = new grpc.Client(target, grpc.credentials.createInsecure());
  const once = () => {
    const at = Date.now();
    client.makeUnaryRequest(METHOD, bytes, bytes, Buffer.alloc(0), { deadline: at + DEADLINE_MS }, (error, answer) => {
      const line = { target: name, at, took: Date.now() - at };
      if (error) line.error = `${grpc.status[error.code]}: ${error.details}`;
      else line.backend = answer.subarray(HEAD).toString();
      process.stdout.write(`${JSON.stringify(line)}\n`);
      setTimeout(once, pauseMs);
    });
  };
  once();
}

const [pauseMs, ...targets] = process.argv.slice(2);
for (const given of targets) {
  const cut = given.indexOf("=");
  callForEver(given.slice(0, cut), given.slice(cut + 1), Number(pauseMs));
}
