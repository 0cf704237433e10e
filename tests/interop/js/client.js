// SPDX-License-Identifier: Apache-2.0
// The JavaScript client as a program: it reads orders from stdin, one JSON object a line, answers
// each, and writes what arrives from the bus as events. What the library warns about is part of
// the output, so that an unexpected frame fails a test.
const crypto = require("crypto");
const fs = require("fs");
const readline = require("readline");
const { Bus, BusError, Rpc } = require("busrt");

const HEX_MAX = 65536;
const TIMEOUT = 10; // seconds: only a ceiling, so that a busy machine fails nothing
const KINDS = { 0x01: "publish", 0x12: "message", 0x13: "broadcast" };

const say = (value) => fs.writeSync(1, JSON.stringify(value) + "\n");
console.warn = console.error = (text) => say({ ev: "log", text: String(text) });

// Either the bytes themselves, or a size and a seed of the pattern that all programs know.
const payloadOf = (order) => {
  const p = order.payload;
  if (p.hex !== undefined) return Buffer.from(p.hex, "hex");
  const block = Buffer.from(Array.from({ length: 251 }, (_, i) => (p.seed + 31 * i) & 0xff));
  return Buffer.alloc(p.size, block);
};

const describe = (payload) =>
  payload.length > HEX_MAX
    ? { len: payload.length, sha1: crypto.createHash("sha1").update(payload).digest("hex") }
    : { len: payload.length, hex: payload.toString("hex") };

const showFrame = (h, frame) =>
  say({
    ev: "frame",
    h,
    kind: KINDS[frame.busOp] || "other",
    sender: frame.sender,
    primary: frame.primary_sender,
    topic: frame.topic === undefined ? null : frame.topic,
    payload: describe(frame.getPayload())
  });

const showNotification = (h, event) =>
  say({
    ev: "notification",
    h,
    sender: event.frame.sender,
    primary: event.frame.primary_sender,
    payload: describe(event.getPayload())
  });

// The RPC server of every client program, see the Rust one for its methods.
const serveCall = (h, event) => {
  const method = event.method.toString();
  const payload = event.getPayload();
  say({
    ev: "call",
    h,
    sender: event.frame.sender,
    primary: event.frame.primary_sender,
    method,
    reply: event.callId !== 0,
    payload: describe(payload)
  });
  if (method === "echo") return payload;
  if (method === "none") return undefined;
  if (method === "fail") throw new BusError(-777, Buffer.from("refused by the server"));
  throw new BusError(-32601, Buffer.alloc(0));
};

// This process's sockets: how a program knows that a connection has really ended.
const sockets = () => {
  const found = new Set();
  for (const fd of fs.readdirSync("/proc/self/fd")) {
    try {
      const link = fs.readlinkSync("/proc/self/fd/" + fd);
      if (link.startsWith("socket:")) found.add(link);
    } catch (err) {
      if (err.code !== "ENOENT") throw err;
    }
  }
  return found;
};

const conns = new Map();

// What the library takes goes to Node's connect as it is: a path, or host and port.
const endpoint = (path) => {
  if (path.startsWith("/")) return path;
  const [host, port] = path.split(":");
  return { host, port: Number(port) };
};

const open = async (o) => {
  const bus = new Bus(o.name);
  bus.timeout = TIMEOUT;
  bus.onFrame = (frame) => showFrame(o.h, frame);
  await bus.connect(endpoint(o.path));
  return bus;
};

const confirmed = async (order, result) => {
  const code = await result._waitCompletedCode();
  return { ack: order.qos & 1 ? code : null };
};

const publish = async (o) => {
  const { bus } = conns.get(o.h);
  if (o.do === "publish") return confirmed(o, await bus.publish(o.topic, payloadOf(o), o.qos));
  return confirmed(o, await bus.send(o.target, payloadOf(o), o.qos));
};

const actions = {
  connect: async (o) => {
    const bus = await open(o);
    const rpc = o.rpc ? new Rpc(bus) : undefined;
    if (rpc) {
      rpc.onCall = (event) => serveCall(o.h, event);
      rpc.onNotification = (event) => showNotification(o.h, event);
      rpc.onFrame = (event) => showFrame(o.h, event.frame);
    }
    bus.onDisconnect = () => say({ ev: "gone", h: o.h });
    conns.set(o.h, { bus, rpc });
    return {};
  },
  close: async (o) => {
    const conn = conns.get(o.h);
    conns.delete(o.h);
    if (conn) await conn.bus.disconnect();
    return {};
  },
  // Gives a name up and takes it again as soon as the connection has ended, many times.
  reconnect: async (o) => {
    for (let i = 0; i < o.rounds; i++) {
      const before = sockets();
      const bus = await open(o);
      const ours = [...sockets()].filter((s) => !before.has(s));
      await bus.disconnect();
      while (ours.some((s) => sockets().has(s))) await new Promise(setImmediate);
    }
    return actions.connect(o);
  },
  watch: async () => ({}),
  connected: async (o) => ({ connected: conns.get(o.h).bus.isConnected() }),
  publish,
  send: publish,
  subscribe: async (o) => confirmed(o, await conns.get(o.h).bus.subscribe(o.topics[0])),
  unsubscribe: async (o) => confirmed(o, await conns.get(o.h).bus.unsubscribe(o.topics[0])),
  "subscribe-bulk": async (o) => confirmed(o, await conns.get(o.h).bus.subscribe(o.topics)),
  "unsubscribe-bulk": async (o) => confirmed(o, await conns.get(o.h).bus.unsubscribe(o.topics)),
  // Sends numbered messages without waiting in between, then for all confirmations.
  burst: async (o) => {
    const results = [];
    for (let i = 0; i < o.count; i++) {
      const data = Buffer.alloc(4);
      data.writeUInt32LE(i);
      results.push(await conns.get(o.h).bus.send(o.target, data, o.qos));
    }
    let last;
    for (const result of results) last = await confirmed(o, result);
    return last;
  },
  notify: async (o) =>
    confirmed(o, await conns.get(o.h).rpc.notify(o.target, payloadOf(o), o.qos)),
  call0: async (o) =>
    confirmed(o, await conns.get(o.h).rpc.call0(o.target, o.method, payloadOf(o), o.qos)),
  call: async (o) => {
    const event = await conns.get(o.h).rpc.call(o.target, o.method, payloadOf(o), o.qos);
    return { result: describe((await event.waitCompleted()).getPayload()) };
  }
};

// The library throws BusError (code, text as bytes), or text with the broker's code in decimal.
const failure = (err) => {
  if (err instanceof BusError)
    return { error: { code: err.code, text: err.message ? err.message.toString() : "" } };
  const answer = /^Server response (\d+)$/.exec(String(err));
  return { error: { code: answer ? Number(answer[1]) : 0, text: String(err) } };
};

const main = async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    let answer;
    try {
      answer = await actions[order.do](order);
    } catch (err) {
      answer = failure(err);
    }
    say({ ...answer, id: order.id });
  }
};

main().then(() => process.exit(0));
