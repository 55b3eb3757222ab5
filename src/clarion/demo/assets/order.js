/** Pages with nothing of their own: who the visitor is, and what arrives. */
import { clarion, visitor } from "./base.js";

await clarion.identify(visitor);
