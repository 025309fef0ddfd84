// Consuming with a prefetch: never more unacknowledged messages than asked for, and every acknowledgement brings more.
import assert from "node:assert/strict";
import { connect, expected } from "./broker.mjs";

const COUNT = 100;
const PREFETCH = 7;
const connection = await connect();
const channel = await connection.createConfirmChannel();
const { queue } = await channel.assertQueue("", { exclusive: true });
for (let n = 0; n < COUNT; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
await channel.waitForConfirms();

const held = [];
const order = [];
const full = expected("a full prefetch window");
const done = expected("all messages");
let holding = true;

await channel.prefetch(PREFETCH);
const { consumerTag } = await channel.consume(queue, (message) => {
  order.push(Number(message.content));
  held.push(message);
  assert.ok(held.length <= PREFETCH, `${held.length} messages without an acknowledgement`);
  if (held.length === PREFETCH && holding) full.resolve();
  if (!holding) settle();
});

// One acknowledgement covers everything up to it when it says so.
function settle() {
  channel.ack(held.at(-1), true);
  held.length = 0;
  if (order.length === COUNT) done.resolve();
}

await full.promise;
assert.equal((await channel.checkQueue(queue)).messageCount, COUNT - PREFETCH);
holding = false;
settle();
await done.promise;
assert.deepEqual(order, Array.from({ length: COUNT }, (_, n) => n));

await channel.cancel(consumerTag);
assert.deepEqual(await channel.checkQueue(queue), { queue, messageCount: 0, consumerCount: 0 });
await connection.close();
