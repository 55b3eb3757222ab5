/** The nouns of the web SDK: what sites pass in, what the server answers, what the worker receives and both remember. */

/** What the browser answered; "unsupported" where it cannot receive pushes at all (`clarion.hint` says why). */
export type Permission = "default" | "granted" | "denied" | "unsupported";

/** Why `permission` is "unsupported", as a code that a site words itself. */
export type Hint = "add_to_home_screen" | "needs_https" | "not_available";

/** Who shows a message while a page of the site has the focus. */
export type Foreground = "show" | "page" | "both";

/** Every sentence that the SDK may show. `{site}` is replaced by the project's name. */
export interface Texts {
  title: string;
  body: string;
  legend: string;
  yes: string;
  no: string;
  always: string;
  generic: string;
}

export interface Options {
  /** Where the Clarion server is reached, e.g. "https://push.example". */
  server: string;
  /** The project's public key, "pk_…". */
  key: string;
  /** The site's own worker file; its folder is the worker's scope. Default "/clarion-sw.js". */
  serviceWorker?: string;
  /** Default "show". */
  foreground?: Foreground;
  /** Days before a declined prompt may be shown again; 0 is any time. Default 30. */
  askAgainAfterDays?: number;
  /** BCP 47; the language of the prompt and of this device. Default: the browser's. */
  locale?: string;
  /** Words of the site's own, over those of the locale. */
  texts?: Partial<Texts>;
}

export interface Category {
  name: string;
  title: string;
  description: string;
  class: "mandatory" | "informational" | "marketing";
  /** What holds until the person says something. */
  default: boolean;
  channels: string[];
  /** Always on: not the person's to change. */
  locked: boolean;
}

/** `GET /v1/sdk/config` */
export interface ProjectConfig {
  project: string;
  vapid_public_key: string;
  categories: Category[];
  push_url: string;
  receipts_url: string;
}

/** What `POST /v1/sdk/devices` takes; address, keys and `vapid_public_key` come together or not at all. */
export interface DeviceBody {
  kind: "webpush";
  address?: string;
  p256dh?: string;
  auth?: string;
  vapid_public_key?: string;
  permission: Exclude<Permission, "unsupported">;
  locale?: string;
  timezone?: string;
  model: string;
  installation: string;
  previous_address?: string;
}

/** What the server answers about this browser; it may hold more. */
export interface Device {
  id: string;
  user_id: string;
  kind: string;
  permission: string;
  [field: string]: unknown;
}

export interface Choice {
  category: string;
  channel: string;
  granted: boolean;
}

/** A category as this user has it: which channels are on. A locked one (mandatory) cannot be switched off. */
export interface Preference {
  category: string;
  title: string;
  description: string;
  class: Category["class"];
  locked: boolean;
  channels: Record<string, boolean>;
}

export interface Topic {
  topic: string;
  title: string;
  description: string;
  subscribed: boolean;
}

export interface Action {
  id: string;
  title: string;
  url?: string | null;
  icon?: string | null;
}

/** The decrypted message (API reference, "What the service worker receives"); every field may be missing. */
export interface Payload {
  v?: number;
  id?: string;
  receipt?: string;
  receipts_url?: string;
  title?: string;
  body?: string | null;
  url?: string | null;
  icon?: string | null;
  image?: string | null;
  badge?: string | null;
  tag?: string | null;
  vibrate?: number[] | null;
  silent?: boolean | null;
  /** For desktops; browsers have no choice of sounds. */
  sound?: string;
  urgency?: "very-low" | "low" | "high";
  require_interaction?: boolean | null;
  actions?: Action[] | null;
  lock_screen?: "show" | "hide_content" | "hide" | null;
  data?: Record<string, unknown> | null;
  category?: string;
  class?: Category["class"];
  /** What it does to the notification that is shown under its tag; `renotify`: with a sound. */
  update?: "replace" | "withdraw";
  renotify?: boolean;
}

/** What `on("received")` hears: the message, and whether the system shows it too. */
export interface Received extends Payload {
  shown: boolean;
}

/** What `on("clicked")` hears: the message, and the action's id when a button was pressed. */
export interface Clicked extends Payload {
  action: string | null;
}

export interface Events {
  received: Received;
  clicked: Clicked;
}

/** Who uses this browser. `anonymous` is the secret of a user whom only the server has named so far. */
export interface Person {
  id: string | null;
  token: string | null;
  anonymous: string | null;
}

/** The last registration that the server accepted; `print` says of what. */
export interface Registered {
  device: Device;
  body: DeviceBody;
  at: number;
  print: string;
}

/** What page and worker share under the key "state". */
export interface State {
  server: string;
  key: string;
  foreground: Foreground;
  generic: string;
  installation: string;
  person: Person;
  /** The person said yes here and has not taken it back. */
  wanted: boolean;
  /** When the person last said no to the prompt, in epoch milliseconds. */
  declined: number | null;
  registered: Registered | null;
  /** Choices that the server has not confirmed yet. */
  choices: { preferences: Choice[]; source: string; wording: string } | null;
  config: { at: number; value: ProjectConfig } | null;
}

export interface QueuedReceipt {
  key: string;
  url: string;
  receipt: { receipt: string; kind: "delivered" | "displayed" | "clicked" | "dismissed"; action?: string; at: string };
}

export interface QueuedEvent {
  person: string | null;
  event: { id: string; name: string; properties: Record<string, unknown>; occurred_at: string };
}

/** What page and worker keep in IndexedDB, by key. */
export interface Kept {
  state: State;
  events: QueuedEvent[];
  receipts: QueuedReceipt[];
  seen: string[];
  closing: { tag: string; ids: (string | undefined)[]; at: number }[];
  clicked: { at: number; event: Clicked } | null;
}
