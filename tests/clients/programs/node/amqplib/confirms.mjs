// Publishing with confirms: every message's own callback, waiting for all of them, and what cannot be routed.
import assert from "node:assert/strict";
import { connect } from "./broker.mjs";

const COUNT = 1000;
const connection = await connect();
const channel = await connection.createConfirmChannel();
await channel.deleteQueue("node.confirms"); // of a run that failed
const { queue } = await channel.assertQueue("node.confirms", { durable: true });

let confirmed = 0;
for (let n = 0; n < COUNT; n++) {
  channel.sendToQueue(queue, Buffer.from(`message ${n}`), { persistent: true, messageId: `${n}` }, (error) => {
    assert.equal(error, null);
    confirmed++;
  });
}
await channel.waitForConfirms();
assert.equal(confirmed, COUNT);
assert.equal((await channel.checkQueue(queue)).messageCount, COUNT);

// A mandatory message without a queue comes back, and is confirmed all the same.
const returned = [];
channel.on("return", (message) => returned.push(message));
channel.publish("", "node.no-such-queue", Buffer.from("homeless"), { mandatory: true });
await channel.waitForConfirms();
assert.equal(returned.length, 1);
assert.equal(returned[0].fields.replyCode, 312);
assert.equal(returned[0].content.toString(), "homeless");

// Taken one by one with get, each in its place and with its properties.
for (let n = 0; n < COUNT; n++) {
  const message = await channel.get(queue, { noAck: true });
  assert.equal(message.content.toString(), `message ${n}`);
  assert.equal(message.properties.messageId, `${n}`);
  assert.equal(message.properties.deliveryMode, 2);
  assert.equal(message.fields.messageCount, COUNT - 1 - n);
}
assert.equal(await channel.get(queue), false);

await channel.deleteQueue(queue);
await connection.close();
