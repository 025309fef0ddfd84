// Misuse: the channel closes with the broker's code and text, while the connection and its other channels go on.
import assert from "node:assert/strict";
import amqplib from "amqplib";
import { connect, expected } from "./broker.mjs";

const connection = await connect();
const bystander = await connection.createChannel();
const { queue } = await bystander.assertQueue("node.errors", { durable: false });

async function refused(code, text, misuse) {
  const channel = await connection.createChannel();
  const failed = expected(`an error ${code}`);
  channel.on("error", failed.resolve);
  const answer = misuse(channel);
  const error = await failed.promise;
  assert.equal(error.code, code);
  assert.match(error.message, text);
  await assert.rejects(async () => answer);
  await bystander.checkQueue(queue);
}

await refused(404, /NOT_FOUND - no queue 'node\.none' in vhost '\/'/, (channel) => channel.checkQueue("node.none"));
await refused(404, /NOT_FOUND - no exchange 'node\.none' in vhost '\/'/, (channel) =>
  channel.bindQueue(queue, "node.none", ""),
);
await refused(
  406,
  /inequivalent arg 'durable' for queue 'node\.errors' in vhost '\/': received 'true' but current is 'false'/,
  (channel) => channel.assertQueue(queue, { durable: true }),
);
await refused(406, /PRECONDITION_FAILED - unknown delivery tag 99/, (channel) => {
  channel.ack({ fields: { deliveryTag: 99 } });
  return channel.checkQueue(queue);
});
await refused(403, /ACCESS_REFUSED/, (channel) => channel.assertExchange("amq.of-my-own", "direct"));

// A wrong password and a virtual host that is not there never become connections.
const url = new URL(process.env.AMQP_URL);
url.password = "wrong";
await assert.rejects(amqplib.connect(url.href), /ACCESS.REFUSED|403/);
url.password = new URL(process.env.AMQP_URL).password;
url.pathname = "/no-such-vhost";
await assert.rejects(amqplib.connect(url.href), /ConnectionClose/);

await bystander.deleteQueue(queue);
await connection.close();
