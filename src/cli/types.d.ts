/** How a message is sent. */
interface EmuSendOptions {
  delaySeconds?: number;
  groupId?: string;
  deduplicationId?: string;
  attributes?: Record<string, string | number>;
}

/** `queue:NAME` in `bind`. */
interface EmuQueue<Body = unknown> {
  send(body: Body, options?: EmuSendOptions): Promise<{ id: string }>;
  sendBatch(messages: Iterable<{ body: Body } & EmuSendOptions>, options?: EmuSendOptions): Promise<{ id: string }[]>;
}

/** `topic:NAME` in `bind`. */
interface EmuTopic<Body = unknown> extends EmuQueue<Body> {
  publish(body: Body, options?: EmuSendOptions): Promise<{ id: string }>;
}

/** `function:NAME` in `bind`. */
interface EmuFunction {
  fetch(input: Request | URL | string, init?: RequestInit): Promise<Response>;
}

/** `kv:NAME` in `bind`. */
interface EmuKeyValue {
  get(key: string, type?: "text" | { type?: "text" }): Promise<string | null>;
  get<Value = unknown>(key: string, type: "json" | { type: "json" }): Promise<Value | null>;
  get(key: string, type: "arrayBuffer" | { type: "arrayBuffer" }): Promise<ArrayBuffer | null>;
  get(key: string, type: "stream" | { type: "stream" }): Promise<ReadableStream | null>;
  getWithMetadata<Metadata = unknown>(key: string, type?: "text" | { type?: "text" }): Promise<{ value: string | null; metadata: Metadata | null }>;
  getWithMetadata<Value = unknown, Metadata = unknown>(
    key: string,
    type: "json" | { type: "json" },
  ): Promise<{ value: Value | null; metadata: Metadata | null }>;
  put(
    key: string,
    value: string | ArrayBuffer | ArrayBufferView | ReadableStream,
    options?: { expiration?: number; expirationTtl?: number; metadata?: unknown },
  ): Promise<void>;
  delete(key: string): Promise<void>;
  list<Metadata = unknown>(options?: { prefix?: string; limit?: number; cursor?: string }): Promise<{
    keys: { name: string; expiration?: number; metadata?: Metadata }[];
    list_complete: boolean;
    cursor?: string;
  }>;
}

/** The third argument of a handler. */
interface EmuContext {
  waitUntil(promise: Promise<unknown>): void;
  passThroughOnException(): void;
}

/** What `scheduled` gets. */
interface EmuScheduled {
  readonly cron: string;
  readonly scheduledTime: number;
}

/** What `queue` gets. */
interface EmuBatch<Body = unknown> {
  readonly queue: string;
  readonly messages: readonly {
    readonly id: string;
    readonly timestamp: Date;
    readonly attempts: number;
    readonly body: Body;
    ack(): void;
    retry(options?: { delaySeconds?: number }): void;
  }[];
  ackAll(): void;
  retryAll(options?: { delaySeconds?: number }): void;
}

/** A default export: `export default { ... } satisfies EmuHandlers<ApiEnv>`. */
interface EmuHandlers<Variables = Env, Body = unknown> {
  fetch?(request: Request, env: Variables, ctx: EmuContext): Response | Promise<Response>;
  scheduled?(event: EmuScheduled, env: Variables, ctx: EmuContext): void | Promise<void>;
  queue?(batch: EmuBatch<Body>, env: Variables, ctx: EmuContext): void | Promise<void>;
}

/** Files that are imported as text. */
declare module "*.txt" {
  const text: string;
  export default text;
}
declare module "*.html" {
  const text: string;
  export default text;
}
declare module "*.sql" {
  const text: string;
  export default text;
}
declare module "*?raw" {
  const text: string;
  export default text;
}
