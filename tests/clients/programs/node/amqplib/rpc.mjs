// Calls over a reply queue: a server and two callers, each on a connection of its own.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { connect, expected } from "./broker.mjs";

const connections = await Promise.all([connect(), connect(), connect()]);
const [server, ...callers] = await Promise.all(connections.map((connection) => connection.createChannel()));

const { queue } = await server.assertQueue("", { exclusive: false, autoDelete: true });
await server.prefetch(1);
await server.consume(queue, (request) => {
  const { replyTo, correlationId } = request.properties;
  const { a, b } = JSON.parse(request.content);
  server.sendToQueue(replyTo, Buffer.from(JSON.stringify(a * b)), { correlationId, contentType: "application/json" });
  server.ack(request);
});

async function caller(channel) {
  const waiting = new Map();
  const { queue: replies } = await channel.assertQueue("", { exclusive: true });
  const onReply = ({ content, properties }) => waiting.get(properties.correlationId)(JSON.parse(content));
  await channel.consume(replies, onReply, { noAck: true });
  return (a, b) => {
    const correlationId = randomUUID();
    const answer = expected(`the answer to ${a} * ${b}`);
    waiting.set(correlationId, answer.resolve);
    channel.sendToQueue(queue, Buffer.from(JSON.stringify({ a, b })), { replyTo: replies, correlationId });
    return answer.promise;
  };
}

const [one, other] = await Promise.all(callers.map(caller));
assert.equal(await one(6, 7), 42);
const numbers = Array.from({ length: 50 }, (_, n) => n);
const answers = await Promise.all(numbers.flatMap((n) => [one(n, 2), other(n, 3)]));
assert.deepEqual(answers, numbers.flatMap((n) => [2 * n, 3 * n]));

await Promise.all(connections.map((connection) => connection.close()));
