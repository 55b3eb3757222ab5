// npm @parse/node-apn: `send` to a thousand tokens a call, as its documentation shows.
const fs = require("node:fs");
const apn = require("@parse/node-apn");
const { measure } = require("./asked.cjs");

const task = JSON.parse(fs.readFileSync(process.argv[2]));
const provider = new apn.Provider({
  token: { key: task.key, keyId: task.key_id, teamId: task.team_id },
  address: "localhost",
  port: task.port,
  ca: task.authority,
  production: true,
});
const note = new apn.Notification({ topic: task.topic, alert: { title: "Hello Ada", body: "Something new is here." } });
note.payload = { url: "https://shop.example/" };
note.pushType = "alert";
note.expiry = Math.floor(Date.now() / 1000) + 259200;

const calls = [];
for (let start = 0; start < task.tokens.length; start += 1000) calls.push(task.tokens.slice(start, start + 1000));
measure(calls, task.tokens.length, 1, async (tokens) => (await provider.send(note, tokens)).sent.length)
  .then(() => provider.shutdown());
