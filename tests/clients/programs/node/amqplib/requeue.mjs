// What is not acknowledged: nacked messages return to their places, rejected ones go, unsettled ones come back.
import assert from "node:assert/strict";
import { connect } from "./broker.mjs";

const connection = await connect();
const channel = await connection.createConfirmChannel();
const { queue } = await channel.assertQueue("", { exclusive: true });
for (const body of ["a", "b", "c", "d"]) channel.sendToQueue(queue, Buffer.from(body));
await channel.waitForConfirms();

async function take(count) {
  const messages = [];
  while (messages.length < count) messages.push(await channel.get(queue));
  return messages;
}
const shown = (messages) => messages.map(({ content, fields }) => content + (fields.redelivered ? "*" : "")).join(" ");

const first = await take(3);
assert.equal(shown(first), "a b c");
channel.nack(first[2]);
channel.nack(first[0]);
channel.ack(first[1]);

const second = await take(3);
assert.equal(shown(second), "a* c* d");
channel.nack(second[0], false, false);
channel.reject(second[1], true);
channel.nack(second[2]);

// Two for a channel that goes away with them: they are there for the next one.
const other = await connection.createChannel();
await other.consume(queue, () => {});
await other.close();

const third = await take(2);
assert.equal(shown(third), "c* d*");
channel.nackAll(true);
const { messageCount } = await channel.purgeQueue(queue);
assert.equal(messageCount, 2);
await connection.close();
