// One exchange of a conversation by @anthropic-ai/sdk, as a program of a user would have it.
//
// Reads a task (JSON) from its argument and prints one JSON object: the text of the answer, what the
// client's own tool ran with, which calls of the server it was shown, the error, the conversation.
// The SDK is as it comes: its own retries, its own message threads in the tool runner.
import Anthropic from "@anthropic-ai/sdk";

const task = JSON.parse(process.argv[2]);
const client = new Anthropic({ baseURL: task.base_url, apiKey: task.key, timeout: 30_000 });
const told = { text: "", ran: [], saw: [], error: null, partial: "", messages: task.messages };

const SHOUT = {
  name: "shout",
  description: "Says a text in capitals.",
  input_schema: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
};

function shout(input) {
  const said = input.text.toUpperCase();
  told.ran.push(said);
  return said;
}

function note(message) {
  for (const block of message.content) {
    if (block.type === "mcp_tool_use") told.saw.push([block.name, block.input]);
  }
  told.text = message.content.filter((block) => block.type === "text").at(-1)?.text ?? "";
}

const params = (messages) => ({ model: task.model, max_tokens: 1000, tools: [SHOUT], messages });

async function create(messages) {
  return client.messages.create(params(messages));
}

async function stream(messages) {
  const running = client.messages.stream(params(messages));
  running.on("text", (text) => (told.partial += text));
  return running.finalMessage();
}

// The loop that a program without the tool runner writes itself.
async function byHand(ask) {
  const messages = [...task.messages];
  for (;;) {
    const message = await ask(messages);
    messages.push({ role: "assistant", content: message.content });
    note(message);
    const uses = message.content.filter((block) => block.type === "tool_use");
    if (message.stop_reason !== "tool_use") return messages;
    const results = uses.map((use) => ({
      type: "tool_result",
      tool_use_id: use.id,
      content: shout(use.input),
    }));
    messages.push({ role: "user", content: results });
  }
}

async function byRunner(streaming) {
  const tools = [{ ...SHOUT, run: shout, parse: (input) => input }];
  const runner = client.beta.messages.toolRunner({
    ...params(task.messages),
    tools,
    stream: streaming,
  });
  for await (const turn of runner) {
    if (streaming) turn.on("text", (text) => (told.partial += text));
    note(streaming ? await turn.finalMessage() : turn);
  }
  return runner.params.messages;
}

const MODES = {
  create: () => byHand(create),
  stream: () => byHand(stream),
  runner: () => byRunner(false),
  "runner-stream": () => byRunner(true),
};

try {
  told.messages = await MODES[task.mode]();
} catch (error) {
  if (!(error instanceof Anthropic.AnthropicError)) throw error;
  told.error = { type: error.type ?? error.constructor.name, message: error.message };
}
console.log(JSON.stringify(told));
