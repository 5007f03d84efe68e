// Calls a tools worker from Node.js, with nothing of ours but the .proto file.
//
//   node call_tools.mjs [TARGET]
//
// TARGET is host:port (default 127.0.0.1:50061) or unix:/path. The worker's key is taken from the
// environment variable AUXOT_WORKER_KEY, and the authority (a PEM file) that signed its certificate
// from AUXOT_WORKER_TLS_CA; without that the connection is not encrypted.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const TARGET = process.argv[2] ?? "127.0.0.1:50061";
const KEY = process.env.AUXOT_WORKER_KEY ?? "";
const TLS_CA = process.env.AUXOT_WORKER_TLS_CA ?? "";

const ANSWER_MS = 5_000; // a worker answers everything but calls from memory
const CALL_MS = 60_000;
const SHORT_MS = 2_000;
const MIB = 2 ** 20;

// --- the connection -----------------------------------------------------------------------------

function load(file) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  // keepCase: fields are called as in the .proto. oneofs: `event` names the member that is set.
  const options = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true };
  return grpc.loadPackageDefinition(protoLoader.loadSync(path, options));
}

const { Tools } = load("../../proto/auxot_tools/v1/tools.proto").auxot_tools.v1;
const { Health } = load("health.proto").grpc.health.v1;

const credentials = TLS_CA
  ? grpc.credentials.createSsl(readFileSync(TLS_CA))
  : grpc.credentials.createInsecure();
const channelOptions = {
  "grpc.max_receive_message_length": 64 * MIB, // the library's default is 4 MiB
  "grpc.max_send_message_length": 40 * MIB, // the most that a worker takes
  "grpc.enable_http_proxy": 0, // a worker is ours: never asked for through a web proxy
};
const health = new Health(TARGET, credentials, channelOptions);
const tools = new Tools(TARGET, credentials, channelOptions);

// Every call but health carries the key, when the worker has one.
function metadata() {
  const made = new grpc.Metadata();
  if (KEY) made.set("authorization", `Bearer ${KEY}`);
  return made;
}

// A unary call as a promise, with its deadline.
function ask(client, method, request = {}) {
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + ANSWER_MS };
    client[method](request, metadata(), options, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
}

// --- one call of a tool -------------------------------------------------------------------------

// The stream of one call: `for await` reads it, `.cancel()` kills the program. `input` goes as the
// JSON text that the model wrote: do not parse and print it again. A wrong one is the worker's to
// judge, and its answer is written for the model.
function execute(toolUseId, toolName, inputJson, deadlineMs = CALL_MS) {
  const request = {
    tool_use_id: toolUseId,
    tool_name: toolName,
    input_json: Buffer.from(inputJson),
  };
  return tools.ExecuteTool(request, metadata(), { deadline: Date.now() + deadlineMs });
}

// Reads a call to its end: tells each piece of output, and returns `completed`.
async function completed(call, tell = () => {}) {
  let last;
  for await (const response of call) {
    if (response.event === "output") tell(response.output);
    if (response.event === "completed") last = response.completed;
    // `started`, and events that a newer worker may send, are passed over.
  }
  if (!last) throw new Error("the worker ended the call without a result");
  return last;
}

// What goes back to the model.
function toolResult(done) {
  return {
    type: "tool_result",
    tool_use_id: done.tool_use_id,
    content: done.content_json.map((block) => JSON.parse(block.toString())),
    ...(done.status === "STATUS_COMPLETED" ? {} : { is_error: true }),
  };
}

function show(title, done) {
  console.log(`${title}: ${done.status}`);
  for (const block of toolResult(done).content) {
    const text = block.type === "text" ? block.text.trim() : `[${block.type}]`;
    console.log(`  ${text.replaceAll("\n", "\n  ")}`);
  }
}

const code = (program) => JSON.stringify({ language: "python", code: program });

// --- the tour -----------------------------------------------------------------------------------

async function main() {
  const { status } = await ask(health, "Check", { service: "auxot_tools.v1.Tools" });
  console.log(`health: ${status}`);

  const listed = await ask(tools, "ListTools");
  console.log(`tools: ${listed.tools.map((tool) => tool.name).join(", ")}`);
  // What a model is told of them: the `tools` array of a Messages request.
  const offered = listed.tools.map((tool) => ({
    name: tool.name,
    description: tool.description,
    input_schema: JSON.parse(tool.input_schema_json.toString()),
  }));
  console.log(`a Messages request would offer ${offered.length}`);

  // Output comes while the program runs; it is bytes, and a character may be cut in two.
  const decoder = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const tell = ({ stream, data }) => {
    const name = stream === "OUTPUT_STREAM_STDERR" ? "stderr" : "stdout";
    console.log(`output: ${name}: ${JSON.stringify(decoder[name].decode(data, { stream: true }))}`);
  };
  const counted = execute("toolu_1", "code_executor", code("for n in range(3): print(n, flush=True)"));
  show("result", await completed(counted, tell));

  // The worker judges the input; the model reads what to change.
  const wrong = execute("toolu_2", "code_executor", '{"language": "python", "cod": "print(1)"}');
  show("wrong input", await completed(wrong));

  // Cancelling the call kills the program.
  const endless = "import time\nprint('working', flush=True)\ntime.sleep(60)";
  const cancelled = execute("toolu_3", "code_executor", code(endless));
  try {
    await completed(cancelled, () => cancelled.cancel());
    console.log("cancelled: no, it ended before");
  } catch (error) {
    if (error.code !== grpc.status.CANCELLED) throw error;
    console.log("cancelled: the program is killed, and there is no result");
  }

  // The worker ends the program a little before the deadline, so that its answer still arrives.
  const late = execute("toolu_4", "code_executor", code(endless), SHORT_MS);
  show("deadline", await completed(late));
}

const ADVICE = {
  [grpc.status.UNAVAILABLE]: `no worker answers at ${TARGET}: start one with \`auxot-tools worker\``,
  [grpc.status.UNAUTHENTICATED]: "the worker wants a key: set AUXOT_WORKER_KEY to its own",
  [grpc.status.DEADLINE_EXCEEDED]: `the worker at ${TARGET} did not answer in time`,
};

try {
  await main();
} catch (error) {
  // UNAVAILABLE and RESOURCE_EXHAUSTED may be tried again; a call was surely not run when the
  // trailing metadata has `auxot-not-run`.
  const surely = error.metadata?.get("auxot-not-run").length ? " (this call was not run)" : "";
  console.error(`failed: ${ADVICE[error.code] ?? error.message}${surely}`);
  process.exitCode = 1;
} finally {
  tools.close();
  health.close();
}
