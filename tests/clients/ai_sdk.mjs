// One exchange of a conversation by the Vercel AI SDK (`ai` with `@ai-sdk/anthropic`).
//
// Reads a task (JSON) from its argument and prints one JSON object: the text of the answer, what the
// client's own tool ran with, which calls of the server it was shown, the error, the conversation.
// The SDK is as it comes: its own retries, its own loop over the client's tools.
import { createAnthropic } from "@ai-sdk/anthropic";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

globalThis.AI_SDK_LOG_WARNINGS = false; // they are in the answer: standard output is for one object
const task = JSON.parse(process.argv[2]);
const told = { text: "", ran: [], saw: [], error: null, partial: "", messages: task.messages };
const anthropic = createAnthropic({ baseURL: task.base_url, apiKey: task.key });

const shout = tool({
  description: "Says a text in capitals.",
  inputSchema: jsonSchema({
    type: "object",
    properties: { text: { type: "string" } },
    required: ["text"],
  }),
  execute: async ({ text }) => {
    told.ran.push(text.toUpperCase());
    return text.toUpperCase();
  },
});

const asked = {
  model: anthropic(task.model),
  maxOutputTokens: 1000,
  messages: task.messages,
  tools: { shout },
  stopWhen: stepCountIs(5),
  abortSignal: AbortSignal.timeout(30_000),
};

function note(steps, response) {
  for (const step of steps) {
    for (const call of step.toolCalls) {
      if (call.providerExecuted) told.saw.push([call.toolName, call.input]);
    }
    told.warnings = [...(told.warnings ?? []), ...(step.warnings ?? [])];
  }
  const texts = steps.at(-1).content.filter((part) => part.type === "text");
  told.text = texts.at(-1)?.text ?? ""; // the answer; `text` of a step is all its texts, joined
  told.messages = [...task.messages, ...response.messages];
}

async function generate() {
  const result = await generateText(asked);
  note(result.steps, result.response);
}

async function stream() {
  const failures = [];
  const result = streamText({ ...asked, onError: ({ error }) => failures.push(error) });
  for await (const piece of result.textStream) told.partial += piece;
  if (failures.length) throw failures[0];
  note(await result.steps, await result.response);
}

try {
  await { generateText: generate, streamText: stream }[task.mode]();
} catch (error) {
  // An error event of the stream comes as the error object of the wire, everything else as an Error.
  const wire = error?.error ?? error;
  told.error = { type: wire?.type ?? wire?.name ?? typeof error, message: wire?.message ?? String(error) };
}
console.log(JSON.stringify(told));
