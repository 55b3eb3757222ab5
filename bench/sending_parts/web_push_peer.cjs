// npm web-push: `sendNotification` for each subscription, on an agent that keeps connections, 100 at once.
const fs = require("node:fs");
const https = require("node:https");
const webpush = require("web-push");
const { measure } = require("./asked.cjs");

const task = JSON.parse(fs.readFileSync(process.argv[2]));
const agent = new https.Agent({ keepAlive: true, maxSockets: 100 });
const text = JSON.stringify({ v: 1, title: "Hello Ada", body: "Something new is here.", url: "https://shop.example/" });
const vapidDetails = { subject: "mailto:team@shop.example", publicKey: task.public, privateKey: task.private };
const options = { TTL: 259200, agent, vapidDetails };

measure(task.subscriptions, task.subscriptions.length, 100, async (subscription) => {
  const response = await webpush.sendNotification(subscription, text, options);
  return Number(response.statusCode === 201);
}).then(() => agent.destroy());
