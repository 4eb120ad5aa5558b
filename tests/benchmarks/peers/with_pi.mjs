// pi on Node: its stream, and its agent. `node with_pi.mjs <work> chat <server> <scenario>`, with pi installed below PI_MODULES.
// As every contender it does its work once for each line of input, and answers with its costs as a line of JSON.

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const installed = (file) => import(pathToFileURL(`${process.env.PI_MODULES}/@earendil-works/${file}`));
const { Type } = await installed("pi-ai/dist/index.js");
const { stream, streamSimple } = await installed("pi-ai/dist/compat.js");
const { Agent } = await installed("pi-agent-core/dist/index.js");

const [work, , server, scenario] = process.argv.slice(2);
const PROMPT = "Look around.";
const WORD = "wonder ";

const modelAt = (url) => ({
  id: "bench", name: "bench", api: "openai-completions", provider: "bench", baseUrl: url, reasoning: false, input: ["text"],
  cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 }, contextWindow: 1_000_000, maxTokens: 10_000,
});

function check(scenario, got) {
  const [kind, ...numbers] = scenario.split(":");
  const wanted = { text: () => numbers[0] * WORD.length, args: () => +numbers[1] }[kind]?.() ?? +numbers.at(-1);
  if (got !== wanted) throw new Error(`${got} instead of ${wanted} at ${scenario}`);
}

const size = (block) => (block.type === "text" ? block.text : JSON.stringify(block.arguments)).length;

async function read(url, scenario) {
  const context = { messages: [{ role: "user", content: PROMPT, timestamp: Date.now() }] };
  const reply = stream(modelAt(url), context, { apiKey: "key" });
  for await (const _ of reply);
  check(scenario, size((await reply.result()).content[0]));
}

async function run(url, tool) {
  const initialState = { model: modelAt(url), tools: [tool] };
  const agent = new Agent({ initialState, getApiKey: () => "key", streamFn: streamSimple });
  agent.subscribe(() => {});
  await agent.prompt(PROMPT);
  return agent.state.messages;
}

async function agent(url, scenario) {
  const write = {
    name: "write", label: "write", description: "Write a file.",
    parameters: Type.Object({ path: Type.String(), content: Type.String() }),
    execute: async () => ({ content: [{ type: "text", text: "written" }], details: {}, terminate: true }),
  };
  const reply = (await run(url, write)).find(({ role }) => role === "assistant");
  check(scenario, size(reply.content[0]));
}

let calls = 0;
const look = {
  name: "look", label: "look", description: "Look at a place.",
  parameters: Type.Object({ place: Type.String() }),
  execute: async (_, { place }) => {
    calls++;
    return { content: [{ type: "text", text: `nothing special in ${place}` }], details: {} };
  },
};

async function turns(url, scenario, runs = 1) {
  calls = 0;
  await Promise.all(Array.from({ length: runs }, () => run(url, look)));
  check(scenario, calls / runs);
}

const crowd = (url, scenario) => turns(url, scenario, +scenario.split(":")[1]);

function small(scenario) {
  const [kind, ...rest] = scenario.split(":");
  if (kind === "text") return `text:10:${rest[1]}`;
  if (kind === "args") return `args:${rest[0]}:200:${rest[2]}`;
  return [kind, ...rest.map(() => "1")].join(":");
}

async function lap(scenario) {
  globalThis.gc?.();
  const cpu = process.cpuUsage();
  const wall = performance.now();
  await { read, agent, turns, crowd }[work](`${server}/${scenario}/v1`, scenario);
  const { user, system } = process.cpuUsage(cpu);
  return { cpu: (user + system) / 1e6, wall: (performance.now() - wall) / 1e3 };
}

await lap(small(scenario));
for await (const _ of createInterface({ input: process.stdin })) console.log(JSON.stringify(await lap(scenario)));
process.exit(0);
