// What the programs share: a connection and channel to the broker under test, and waiting with a bound.
import amqplib from "amqplib";

export async function connect() {
  return amqplib.connect(process.env.AMQP_URL, { noDelay: true });
}

/** A promise that is settled from outside, and fails when nothing does so for a minute. */
export function expected(what) {
  const { promise, resolve, reject } = withResolvers();
  const timer = setTimeout(() => reject(new Error(`nothing came of: ${what}`)), 60_000);
  return { promise: promise.finally(() => clearTimeout(timer)), resolve };
}

function withResolvers() {
  let resolve, reject;
  const promise = new Promise((ok, failed) => ([resolve, reject] = [ok, failed]));
  return { promise, resolve, reject };
}
