// A topic exchange with headers and properties carried through, an exchange bound to an exchange, and unbinding.
import assert from "node:assert/strict";
import { connect, expected } from "./broker.mjs";

const connection = await connect();
const channel = await connection.createConfirmChannel();
const { exchange } = await channel.assertExchange("node.topics", "topic", { durable: false, autoDelete: true });
const { exchange: upstream } = await channel.assertExchange("node.upstream", "fanout", { durable: false });
const { queue: hares } = await channel.assertQueue("", { exclusive: true });
const { queue: all } = await channel.assertQueue("", { exclusive: true });
await channel.bindQueue(hares, exchange, "field.*.hare");
await channel.bindQueue(all, exchange, "#");
await channel.bindExchange(exchange, upstream);

const keys = { [hares]: [], [all]: [] };
const last = expected("the last message");
let properties;
for (const queue of [hares, all]) {
  await channel.consume(
    queue,
    (message) => {
      keys[queue].push(message.fields.routingKey);
      properties ??= message.properties;
      if (message.fields.routingKey === "last") last.resolve();
    },
    { noAck: true },
  );
}

const born = { "!": "timestamp", value: 1700000000 };
const headers = { colour: "brown", weight: 3.5, fast: true, legs: 4, born, kin: ["doe", "buck"], sire: { name: null } };
const carried = { headers, contentType: "text/plain", priority: 3, correlationId: "1" };
channel.publish(exchange, "field.north.hare", Buffer.from("x"), carried);
channel.publish(exchange, "field.north.east.hare", Buffer.from("x"));
channel.publish(upstream, "field.south.hare", Buffer.from("x"));
await channel.waitForConfirms();
await channel.unbindQueue(hares, exchange, "field.*.hare");
channel.publish(exchange, "field.west.hare", Buffer.from("x"));
channel.publish(exchange, "last", Buffer.from("x"));
await last.promise;

assert.deepEqual(keys[hares], ["field.north.hare", "field.south.hare"]);
assert.deepEqual(
  keys[all].map((key) => key.replace("field.", "")),
  ["north.hare", "north.east.hare", "south.hare", "west.hare", "last"],
);
for (const [property, value] of Object.entries(carried)) assert.deepEqual(properties[property], value);

await channel.deleteExchange(upstream);
await connection.close();
