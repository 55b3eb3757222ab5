// Sends one message with npm's web-push: {subscription, text (base64), options} in, {status, headers, body, error} out.
// The library only speaks https; our endpoint in a test is http, so that is all that is changed about it.
require("node:https").request = require("node:http").request;
const webpush = require("web-push");

const asked = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
webpush
  .sendNotification(asked.subscription, Buffer.from(asked.text, "base64"), asked.options)
  .then((answer) => ({ status: answer.statusCode, headers: answer.headers, body: answer.body, error: false }))
  .catch((refused) => {
    if (refused.statusCode === undefined) throw refused;
    return { status: refused.statusCode, headers: refused.headers, body: refused.body, error: true };
  })
  .then((told) => console.log(JSON.stringify(told)));
