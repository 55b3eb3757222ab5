// node's module http2: as many sessions as connections, as many requests at once as streams.
const http2 = require("node:http2");
const fs = require("node:fs");

const [origin, authority, streams, connections, count, warm, what] = process.argv.slice(2);
const { path, shared, body } = JSON.parse(what);
const ca = fs.readFileSync(authority);
const sessions = Array.from({ length: Number(connections) }, () => http2.connect(origin, { ca }));

function send(total) {
  return new Promise((resolve, reject) => {
    let next = 0, done = 0, well = 0;
    const start = (session) => {
      if (next >= total) return;
      const id = String(next++);
      const request = session.request({ ":method": "POST", ":path": path, ...shared, "apns-id": id });
      request.on("response", (headers) => { well += headers[":status"] === 200; });
      request.on("error", reject);
      request.on("end", () => {
        if (++done === total) resolve(well);
        else start(session);
      });
      request.resume();
      request.end(body);
    };
    for (const session of sessions) for (let i = 0; i < Number(streams); i++) start(session);
  });
}

(async () => {
  await send(Number(warm));
  const began = process.hrtime.bigint(), used = process.cpuUsage();
  const well = await send(Number(count));
  const { user, system } = process.cpuUsage(used);
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  if (well !== Number(count)) throw new Error(`${well} of ${count} were answered with 200`);
  console.log(JSON.stringify({ cpu_us: (user + system) / count, per_s: count / seconds }));
  for (const session of sessions) session.close();
})();
