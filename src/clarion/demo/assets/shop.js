/** The shop: the bell, the orders, and what else may happen to a visitor. */
import { clarion, toast, visitor } from "./base.js";
import { ready } from "./bell.js";

const live = { href: `/live?user=${encodeURIComponent(visitor)}`, words: "See what happened" };

/** Posts to the shop's own server, which knows the visitor by cookie. */
async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  return answer;
}

/** Presses once, whatever the finger does; says what went wrong. */
function onPress(selector, act) {
  for (const button of document.querySelectorAll(selector)) {
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await act(button);
      } catch (error) {
        toast("That did not work", error.message, "bad");
      }
      button.disabled = false;
    });
  }
}

onPress(".order", async (button) => {
  const { order } = await post("/shop/orders", { product: button.dataset.product });
  document.getElementById("step-order").classList.add("done");
  document.body.dataset.order = order;
  toast(`Ordered: ${order}`, "It ships at once.", "good", live);
});

onPress(".happen", async (button) => {
  const { what } = await post("/shop/happenings", { what: button.dataset.what });
  const offer = "If you said no to offers, the decision is a drop, with its reason.";
  toast("Clarion was told", what === "offer" ? offer : "Mandatory: no preference can hold it back.", "good", live);
});

clarion.identify(visitor).catch((error) => toast("Clarion does not know this visitor", error.message, "bad"));
await ready();
