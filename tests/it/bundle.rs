//! `emu bundle`: the component answers as the function does. It is run in emu itself, as any other component.

use http::{Method, StatusCode};

use crate::harness::Project;

const MANIFEST: &str = r#"
[functions.api]
source = "functions/api.ts"
env = { STAGE = "test", API_TOKEN = "" }
bind = { ORDERS = "queue:orders" }

[functions.worker]
source = "functions/worker.js"
queue = "orders"

[functions.ready]
source = "ready.wat"

[queues.orders]
"#;

const API: &str = r#"
import { EventEmitter } from "node:events";
import { shout } from "../lib/shout";

interface Env { STAGE: string; API_TOKEN?: string; ORDERS: { send(body: unknown): Promise<void> } }

let served = 0;
export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const url = new URL(request.url);
    const what = url.pathname.split("/").pop();
    served += 1;
    switch (what) {
      case "json":
        return Response.json({ served, stage: env.STAGE, query: url.searchParams.get("q"), said: shout("hi"), method: request.method });
      case "secret":
        return Response.json({ token: env.API_TOKEN ?? null });
      case "hash": {
        const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("emu"));
        return new Response([...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
      }
      case "echo":
        return new Response(request.body, { status: 201, headers: { "x-kind": request.headers.get("content-type") ?? "" } });
      case "upper":
        return new Response((await request.text()).toUpperCase());
      case "stream": {
        const encoder = new TextEncoder();
        let part = 0;
        return new Response(new ReadableStream({
          async pull(controller) {
            await new Promise((done) => setTimeout(done, 1));
            if (part++ < 3) controller.enqueue(encoder.encode(`part ${part}\n`));
            else controller.close();
          },
        }));
      }
      case "gzip": {
        const packed = new Response("again and again and again").body!.pipeThrough(new CompressionStream("gzip"));
        return new Response(packed.pipeThrough(new DecompressionStream("gzip")));
      }
      case "emits": {
        const emitter = new EventEmitter();
        const heard: string[] = [];
        emitter.on("said", (text: string) => heard.push(text));
        emitter.emit("said", new URLPattern({ pathname: "/:a/emits" }).exec(url)?.pathname.groups.a === undefined ? "no" : "yes");
        return Response.json(heard);
      }
      case "late":
        ctx.waitUntil(new Promise((done) => setTimeout(done, 5)));
        return new Response("early");
      case "binding":
        try {
          await env.ORDERS.send({ id: 1 });
          return new Response("sent");
        } catch (error) {
          return new Response((error as Error).message, { status: 503 });
        }
      case "boom":
        throw new TypeError("out of luck");
    }
    return new Response(`nothing at ${what}`, { status: 404 });
  },
};
"#;

fn project() -> Project {
    Project::new(&[
        ("emu.toml", MANIFEST),
        (".env", "API_TOKEN=tok-12345678\n"),
        ("functions/api.ts", API),
        (
            "lib/shout.ts",
            "export const shout = (text: string): string => `${text.toUpperCase()}!`;\n",
        ),
        ("functions/worker.js", "export default { async queue() {} };\n"),
        (
            "ready.wat",
            "(module (memory (export \"memory\") 1) (func (export \"_start\")))\n",
        ),
    ])
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_bundle_answers_as_the_function_does() {
    let project = project();
    let bundled = project.emu(["bundle", "api", "-o", "copy.wasm"]);
    assert!(bundled.status.success(), "{}", said(&bundled));
    let words = said(&bundled);
    for expect in [
        "API_TOKEN looks secret and is left out",
        "env.ORDERS (queue orders) is the emulator's",
        "without Intl",
        "wasmtime serve copy.wasm",
    ] {
        assert!(words.contains(expect), "{words}");
    }
    project.edit(
        "emu.toml",
        "[queues.orders]",
        "[functions.copy]\nsource = \"copy.wasm\"\n\n[queues.orders]",
    );
    let emu = project.start();
    let both = |method: Method, path: &str, body: &str| {
        ["api", "copy"].map(|name| {
            let answer = emu.request(
                method.clone(),
                &format!("/{name}/{path}"),
                &[("content-type", "text/x-note")],
                body,
            );
            let header = |name: &str| {
                answer
                    .headers
                    .get(name)
                    .map(|value| value.to_str().expect("text").to_owned())
            };
            (answer.status, header("content-type"), header("x-kind"), answer.text())
        })
    };
    let cases = [
        (Method::GET, "json?q=a%20b", ""),
        (Method::POST, "json", "x"),
        (Method::GET, "hash", ""),
        (Method::POST, "echo", "as it came"),
        (Method::POST, "upper", "small"),
        (Method::GET, "stream", ""),
        (Method::GET, "gzip", ""),
        (Method::GET, "emits", ""),
        (Method::GET, "late", ""),
        (Method::GET, "nowhere", ""),
    ];
    for (method, path, body) in cases {
        let [function, copy] = both(method, path, body);
        assert_eq!(function, copy, "{path}");
        assert!(function.0 != StatusCode::BAD_GATEWAY, "{path}: {function:?}");
    }
    let [function, copy] = both(Method::GET, "secret", "");
    assert_eq!(
        (function.3.as_str(), copy.3.as_str()),
        (r#"{"token":"tok-12345678"}"#, r#"{"token":null}"#)
    );
    let [function, copy] = both(Method::GET, "binding", "");
    assert_eq!((function.0, copy.0), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
    assert!(copy.3.contains("env.ORDERS is a binding of emu.toml"), "{}", copy.3);
    let [function, copy] = both(Method::GET, "boom", "");
    assert_eq!(
        (function.0, copy.0),
        (StatusCode::BAD_GATEWAY, StatusCode::INTERNAL_SERVER_ERROR)
    );
    assert_eq!(copy.3, "the function failed: TypeError: out of luck\n");
}

#[test]
fn what_cannot_be_bundled_is_told() {
    let project = project();
    let wrong = project.emu(["bundle", "worker"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        said(&wrong).contains("no fetch handler (it has queue)"),
        "{}",
        said(&wrong)
    );
    assert!(!project.path().join("worker.wasm").exists());
    assert!(said(&project.emu(["bundle", "ready"])).contains("is WebAssembly already"));
    assert!(said(&project.emu(["bundle", "apy"])).contains("did you mean api?"));
    let nowhere = project.emu(["bundle", "api", "-o", "no/such/folder/api.wasm"]);
    assert!(said(&nowhere).contains("cannot be written"), "{}", said(&nowhere));
}
