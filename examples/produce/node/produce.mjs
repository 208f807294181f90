// Send audio to a fleet and print its words: node produce.mjs https://example.org/call.ogg
import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { createClient } from "redis";

const PATIENCE_MS = 600_000;
const queue = process.env.QUEUE ?? "default.calls";
const key = (name) => `wf:{${queue}}:${name}`;

async function submit(redis, source) {
  // An address, or a file of up to 1 MiB that travels with the job.
  const job = source.includes("://") ? { url: source } : { audio: await readFile(source) };
  return `normal-${await redis.xAdd(key("in:normal"), "*", job)}`;
}

// Wait for the job's result. Each job that ends ends the wait for an event, from a position that was
// taken before this one was sent.
async function wait(redis, id, position) {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    try {
      const document = await redis.get(key(`result:${id}`));
      if (document) return JSON.parse(document);
      const streams = await redis.xRead({ key: key("done"), id: position }, { BLOCK: 10_000 });
      position = streams?.[0].messages.at(-1).id ?? position;
    } catch {
      // Redis may be restarting, and keeps the job meanwhile.
      await setTimeout(1000);
    }
  }
  throw new Error(`${id} has not ended within ${PATIENCE_MS / 1000} s; it goes on`);
}

// Without an offline queue, and without reconnecting before the job is sent, no command is sent twice.
let isSent = false;
const redis = createClient({
  url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379/0",
  disableOfflineQueue: true,
  socket: { reconnectStrategy: () => isSent && 1000 },
});
redis.on("error", () => {});
await redis.connect();
try {
  const [newest] = await redis.xRevRange(key("done"), "+", "-", { COUNT: 1 });
  const id = await submit(redis, process.argv[2]);
  isSent = true;
  const result = await wait(redis, id, newest?.id ?? "0-0");
  if (!result.transcript) throw new Error(`${id} is ${result.state}: ${result.error.code}: ${result.error.message}`);
  console.log(result.transcript.text);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  redis.destroy();
}
