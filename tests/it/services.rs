//! `emu package --per-function`: each image holds what its function needs, runs with it, and stays as it is when another function
//! changes.
#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::harness::{Emu, Project};
use crate::nats::Nats;
use crate::package::{blob, entries, layer_of, package};

const MANIFEST: &str = r#"
[project]
name = "shop"

[functions.api]
source = "functions/api.ts"
http = "/api"
bind = { PRICES = "function:prices", NEWS = "topic:news" }

[functions.prices]
source = "functions/prices.js"
http = "/prices"
cron = "* * * * *"

[functions.worker]
source = "functions/worker.js"
topic = "news"
memory = "256MB"
env = { ONLY_MINE = "quite-private" }

[functions.ready]
source = "dist/ready.wat"
build = "exit 0"

[topics.news]
"#;

const API: &str = r#"import { shout } from "@lib/shout";
import page from "./page.html";
import { label } from "ui";
import { deep } from "deep";
import settings from "../settings.json";
export default {
  async fetch(request: Request, env: any): Promise<Response> {
    if (request.method === "POST") return new Response(String(await env.NEWS.send({ kind: "order" })), { status: 202 });
    const price: Response = await env.PRICES.fetch("http://prices/prices");
    return new Response([shout("hi"), page.trim(), label, deep, settings.colour, await price.text()].join(" "));
  },
};
"#;

fn project() -> Project {
    let project = Project::new(&[
        ("emu.toml", MANIFEST),
        ("functions/api.ts", API),
        ("functions/page.html", "<p>\n"),
        (
            "functions/prices.js",
            "export default { fetch: () => new Response('7') };\n",
        ),
        (
            "functions/worker.js",
            "import { a } from 'tiny';\nexport default { queue(batch) { console.log(`got ${batch.messages.length} ${a}`); } };\n",
        ),
        // Nobody declares it.
        (
            "functions/plain.js",
            "export default { fetch: () => new Response('plain') };\n",
        ),
        (
            "dist/ready.wat",
            r#"(module (memory (export "memory") 1) (func (export "_start")))"#,
        ),
        ("tsconfig.json", r#"{ "extends": "./tsconfig.base.json" }"#),
        (
            "tsconfig.base.json",
            r#"{ "compilerOptions": { "paths": { "@lib/*": ["./lib/*"] } } }"#,
        ),
        (
            "lib/shout.ts",
            "export const shout = (text: string): string => text.toUpperCase();\n",
        ),
        ("lib/unused.ts", "export const no = 1;\n"),
        ("settings.json", r#"{ "colour": "blue" }"#),
        (
            "packages/ui/package.json",
            r#"{ "name": "ui", "exports": "./src/index.ts" }"#,
        ),
        ("packages/ui/src/index.ts", "export const label: string = 'ui';\n"),
        (
            "node_modules/.pnpm/deep@1/node_modules/deep/package.json",
            r#"{ "name": "deep", "type": "module", "main": "index.js" }"#,
        ),
        (
            "node_modules/.pnpm/deep@1/node_modules/deep/index.js",
            "import { end } from 'end';\nexport const deep = 'deep-' + end;\n",
        ),
        (
            "node_modules/.pnpm/end@1/node_modules/end/index.js",
            "exports.end = 'end';\n",
        ),
        (
            "node_modules/tiny/package.json",
            r#"{ "name": "tiny", "main": "index.js" }"#,
        ),
        ("node_modules/tiny/index.js", "exports.a = 'one';\n"),
        (".env", "API_KEY=sk-12345678\n"),
    ]);
    for (link, target) in [
        ("node_modules/ui", "../packages/ui"),
        ("node_modules/deep", ".pnpm/deep@1/node_modules/deep"),
        (
            "node_modules/.pnpm/deep@1/node_modules/end",
            "../../end@1/node_modules/end",
        ),
        ("functions/alias.js", "../lib/real.js"),
    ] {
        symlink(target, project.path().join(link)).expect("a link");
    }
    project.write(
        "lib/real.js",
        "export default { fetch: () => new Response('by a link') };\n",
    );
    project
}

/// Images by the name of their function.
fn images(report: &Value) -> BTreeMap<String, Value> {
    let images = report["packages"].as_array().expect("images").iter();
    images
        .map(|image| (image["name"].as_str().expect("a name").to_owned(), image.clone()))
        .collect()
}

/// The files of its own that an image has.
fn own(project: &Project, image: &Value) -> BTreeSet<String> {
    let layers = ["packages", "project"].map(|what| layer_of(project, image, what).unwrap_or_default());
    let paths = layers.iter().flat_map(|layer| entries(layer).into_keys());
    let paths = paths.filter(|path| !path.ends_with('/'));
    paths
        .filter_map(|path| Some(path.strip_prefix("app/")?.to_owned()))
        .collect()
}

/// Unpacks what an image has below `/app` and serves it as the image says.
fn run(project: &Project, image: &Value) -> Emu {
    run_with(project, image, &["--ephemeral"])
}

fn run_with(project: &Project, image: &Value, args: &[&str]) -> Emu {
    let unpacked = Project::new(&[]);
    for what in ["packages", "project"] {
        let layer = layer_of(project, image, what).unwrap_or_default();
        let mut archive = tar::Archive::new(layer.as_slice());
        for entry in archive.entries().expect("a tar file") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").into_owned();
            let Ok(below) = path.strip_prefix("app") else { continue };
            // The volume is another user's.
            if !below.starts_with(".emu") && !below.as_os_str().is_empty() {
                entry.unpack(unpacked.path().join(below)).expect("unpacked");
            }
        }
    }
    let manifest: Value = serde_json::from_slice(&blob(project, &image["digest"])).expect("JSON");
    let config: Value = serde_json::from_slice(&blob(project, &manifest["config"]["digest"])).expect("JSON");
    let env = config["config"]["Env"].as_array().expect("variables").iter();
    let functions = env
        .filter_map(Value::as_str)
        .find_map(|line| line.strip_prefix("EMU_FUNCTIONS="));
    let functions = functions.expect("its functions").to_owned();
    unpacked.serve_in(
        &[("EMU_FUNCTIONS", &functions), ("EMU_NO_BUILD", "1"), ("API_KEY", "x")],
        args,
    )
}

fn set<const N: usize>(paths: [&str; N]) -> BTreeSet<String> {
    paths.map(str::to_owned).into()
}

#[test]
fn each_image_holds_what_its_function_needs_and_runs_with_it() {
    let project = project();
    let (report, _) = package(&project, &["--per-function"]);
    let images = images(&report);
    let all = ["alias", "api", "plain", "prices", "ready", "worker"];
    assert_eq!(images.keys().map(String::as_str).collect::<Vec<_>>(), all);
    let expect = [
        ("alias", set(["emu.toml", "functions/alias.js", "lib/real.js"])),
        ("plain", set(["emu.toml", "functions/plain.js"])),
        ("ready", set(["emu.toml", "dist/ready.wat"])),
        (
            "worker",
            set([
                "emu.toml",
                "functions/worker.js",
                "node_modules/tiny/index.js",
                "node_modules/tiny/package.json",
            ]),
        ),
    ];
    for (name, mut files) in expect {
        let mut there = own(&project, &images[name]);
        // Who may be asked how a module is meant.
        for asked in ["tsconfig.json", "tsconfig.base.json"] {
            there.remove(asked);
            files.remove(asked);
        }
        assert_eq!(there, files, "{name}");
    }
    let api = own(&project, &images["api"]);
    for there in [
        "functions/prices.js",
        "lib/shout.ts",
        "packages/ui/src/index.ts",
        "node_modules/ui",
        "tsconfig.json",
    ] {
        assert!(api.contains(there), "{there}: {api:?}");
    }
    for gone in [
        "functions/worker.js",
        "lib/unused.ts",
        "node_modules/tiny/index.js",
        "dist/ready.wat",
        ".env",
    ] {
        assert!(!api.contains(gone), "{gone}: {api:?}");
    }
    let what = |name: &str| -> Vec<String> {
        let layers = images[name]["layers"].as_array().expect("layers").iter();
        layers
            .map(|layer| layer["what"].as_str().expect("a word").to_owned())
            .collect()
    };
    assert_eq!(what("api"), ["system", "emu", "scripts", "packages", "project"]);
    assert_eq!(
        what("ready"),
        ["system", "emu", "project"],
        "nothing runs scripts there"
    );
    assert_eq!(images["api"]["layers"][1], images["ready"]["layers"][1]);

    let emu = run(&project, &images["api"]);
    assert_eq!(emu.get("/api").text(), "HI <p> ui deep-end blue 7");
    assert_eq!(emu.get("/prices").status, 404, "it is there to be called");
    let emu = run(&project, &images["alias"]);
    assert_eq!(emu.get("/alias").text(), "by a link");
    let emu = run(&project, &images["plain"]);
    assert_eq!(emu.get("/plain/below").text(), "plain");
    assert_eq!(run(&project, &images["ready"]).get("/ready").status, 200);
    let emu = run(&project, &images["worker"]);
    let sent = emu.control_post("/_emu/topics/news/messages", &json!({ "body": { "n": 1 } }));
    assert!(sent.status.is_success(), "{}", sent.text());
    emu.wait("log", |e| e["text"].as_str().is_some_and(|text| text.ends_with("one")));
}

#[test]
fn a_change_leaves_the_images_of_others_as_they_were() {
    let project = project();
    let digests = || -> BTreeMap<String, String> {
        let (report, _) = package(&project, &["--per-function"]);
        let images = images(&report);
        images
            .into_iter()
            .map(|(name, image)| (name, image["digest"].to_string()))
            .collect()
    };
    let changed = |before: &BTreeMap<String, String>, after: &BTreeMap<String, String>| -> Vec<String> {
        let differs = after.iter().filter(|(name, digest)| before.get(*name) != Some(digest));
        differs.map(|(name, _)| name.clone()).collect()
    };
    let first = digests();
    project.edit("functions/worker.js", "got", "took");
    let second = digests();
    assert_eq!(changed(&first, &second), ["worker"]);
    // Its settings, its packages, and files that nobody reads.
    project.edit("emu.toml", "256MB", "512MB");
    project.edit("emu.toml", "quite-private", "still-private");
    project.edit("node_modules/tiny/index.js", "one", "two");
    project.write("README.md", "New.");
    let third = digests();
    assert_eq!(changed(&second, &third), ["worker"]);
    // One that is called goes along.
    project.edit("functions/prices.js", "'7'", "'8'");
    let fourth = digests();
    assert_eq!(changed(&third, &fourth), ["api", "prices"]);
    project.write(
        "functions/new.js",
        "export default { fetch: () => new Response('new') };\n",
    );
    assert_eq!(changed(&fourth, &digests()), ["new"]);
}

#[test]
fn named_functions_come_without_the_others() {
    let project = project();
    let (report, _) = package(&project, &["worker", "api"]);
    let image = &report["packages"][0];
    assert_eq!(image["name"], "shop");
    let files = own(&project, image);
    assert!(
        files.contains("functions/worker.js") && files.contains("functions/prices.js"),
        "{files:?}"
    );
    assert!(
        !files.contains("functions/plain.js") && !files.contains("dist/ready.wat"),
        "{files:?}"
    );
    let text = String::from_utf8_lossy(&layer_of(&project, image, "project").expect("the layer")).into_owned();
    assert!(!text.contains("sk-12345678"));
    let emu = run(&project, image);
    assert_eq!(emu.post("/api", &json!({})).status, 202);
    emu.wait("log", |e| e["text"].as_str().is_some_and(|text| text.ends_with("one")));
}

#[test]
fn what_a_member_publishes_comes_to_a_function_that_only_another_has() {
    let nats = Nats::start();
    let project = project();
    let (report, _) = package(&project, &["--per-function"]);
    let images = images(&report);
    let member = |name: &str| run_with(&project, &images[name], &["--bus", &nats.url()]);
    // Whoever takes a message out of the topic hands it to all, and for now that is the publisher.
    let api = member("api");
    for _ in 0..10 {
        assert_eq!(api.post("/api", &json!({})).status, 202);
    }
    let worker = member("worker");
    let mut got = 0;
    worker.wait("log", |e| {
        got += usize::from(e["text"].as_str().is_some_and(|text| text.ends_with("one")));
        got == 10
    });
}
