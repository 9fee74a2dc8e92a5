// Node.js with piscina behind HTTP, and a client of its own in a second process: main.mjs
// prints the same line of JSON as the other peers.
import { fork } from "node:child_process";
import { createServer, request, Agent } from "node:http";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import path from "node:path";

const here = path.dirname(fileURLToPath(import.meta.url));

async function serve() {
  const { Piscina } = createRequire(path.join(process.cwd(), "x.js"))("piscina");
  const count = cpus().length;
  const pool = new Piscina({
    filename: path.join(here, "worker.cjs"), minThreads: count, maxThreads: count,
  });
  const server = createServer((incoming, answer) => {
    const chunks = [];
    incoming.on("data", (chunk) => chunks.push(chunk));
    incoming.on("end", async () => {
      const args = Buffer.concat(chunks).toString();
      const result = await pool.run({ method: incoming.url.slice(1), args });
      answer.setHeader("content-type", "application/json");
      answer.end(result);
    });
  });
  server.listen(0, "127.0.0.1", () => process.send(server.address().port));
}

function caller(port) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  return (method, args) => new Promise((resolve, reject) => {
    const body = JSON.stringify(args);
    const options = {
      agent, port, host: "127.0.0.1", path: `/${method}`, method: "POST",
      headers: { "content-length": Buffer.byteLength(body) },
    };
    const sent = request(options, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

async function many(call, method, calls) {
  let next = 0;
  let sum = 0;
  const lane = async () => {
    while (next < calls.length) {
      const result = await call(method, calls[next++]);
      sum += result;
    }
  };
  await Promise.all(Array.from({ length: 64 }, lane));
  return sum;
}

const check = (ok, what) => { if (!ok) throw new Error(`wrong result: ${what}`); };
const now = () => performance.now();

async function measure(port) {
  const call = caller(port);
  const range = (count) => Array.from({ length: count }, (_, n) => n);
  await many(call, "add", range(200).map((n) => ({ a: n, b: 1 })));
  const took = [];
  for (const n of range(1000)) {
    const began = now();
    check((await call("add", { a: n, b: 1 })) === n + 1, "add");
    took.push((now() - began) * 1000);
  }
  took.sort((a, b) => a - b);
  let began = now();
  const sum = await many(call, "add", range(6000).map((n) => ({ a: n, b: 1 })));
  check(sum === 6000 * 6001 / 2, "sum");
  const perS = 6000 / ((now() - began) / 1000);
  began = now();
  const inside = await many(call, "pi", range(50).map((seed) => ({ samples: 200000, seed })));
  check(Math.abs(4 * inside / 10_000_000 - 3.14159) < 0.002, "pi");
  const piS = (now() - began) / 1000;
  const rows = range(11500).map((n) => ({
    id: n, name: `customer ${n}`, active: n % 3 === 0, balance: n * 1.25, tags: ["a"],
  }));
  const echoes = [];
  for (const _ of range(8)) {
    began = now();
    check((await call("echo", { rows })).rows.length === rows.length, "echo");
    echoes.push(now() - began);
  }
  echoes.sort((a, b) => a - b);
  console.log(JSON.stringify({
    p50_us: took[500], p99_us: took[990], many_per_s: perS, pi_s: piS, echo_ms: echoes[4],
  }));
}

if (process.send) {
  serve();
} else {
  const server = fork(fileURLToPath(import.meta.url), { cwd: process.cwd() });
  server.once("message", async (port) => {
    try {
      await measure(port);
    } catch (error) {
      console.error(error);
      process.exitCode = 1;
    }
    server.kill();
    process.exit();
  });
}
