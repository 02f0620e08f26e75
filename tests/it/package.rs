//! `emu package`: layers that hold what they should and nothing else, and digests that depend on nothing but the input.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use warp::Filter as _;

use crate::harness::{Project, serve};

const MANIFEST: &str = r#"
[functions.api]
source = "functions/api.js"
bind = { ORDERS = "queue:orders" }

[functions.ready]
source = "dist/ready.wat"
build = "exit 0"

[queues.orders]
"#;

const WAT: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

fn project() -> Project {
    Project::new(&[
        ("emu.toml", MANIFEST),
        (
            "functions/api.js",
            "import { a } from \"tiny\";\nexport default { fetch: () => new Response(a) };\n",
        ),
        ("dist/ready.wat", WAT),
        (
            "node_modules/tiny/package.json",
            r#"{ "name": "tiny", "main": "index.js" }"#,
        ),
        ("node_modules/tiny/index.js", "exports.a = 'one';\n"),
        ("node_modules/tiny/unused.js", "1\n"),
        (".env", "API_KEY=sk-12345678\n"),
        (".emuignore", "*.psd\n"),
        ("art/logo.psd", "large"),
        (".git/HEAD", "ref"),
    ])
}

/// Packages without compression, which tests have no time for.
pub fn package(project: &Project, more: &[&str]) -> (Value, String) {
    let out = project.path().join("image");
    let mut args = vec![
        "package",
        "--json",
        "--compression",
        "none",
        "-o",
        out.to_str().expect("UTF-8"),
    ];
    args.extend(more);
    let run = crate::harness::emu(project.path())
        .args(&args)
        .output()
        .expect("run emu");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{said}");
    (serde_json::from_slice(&run.stdout).expect("JSON"), said)
}

pub fn blob(project: &Project, digest: &Value) -> Vec<u8> {
    let name = digest
        .as_str()
        .and_then(|digest| digest.strip_prefix("sha256:"))
        .expect("a digest");
    std::fs::read(project.path().join("image/blobs/sha256").join(name)).expect("a blob")
}

/// Paths of a layer with their owners and modes.
pub fn entries(layer: &[u8]) -> BTreeMap<String, (u64, u32)> {
    let mut archive = tar::Archive::new(layer);
    let entries = archive.entries().expect("a tar file").map(|entry| {
        let entry = entry.expect("an entry");
        let header = entry.header();
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        (path, (header.uid().expect("an owner"), header.mode().expect("a mode")))
    });
    entries.collect()
}

pub fn layer_of(project: &Project, image: &Value, what: &str) -> Option<Vec<u8>> {
    let layers = image["layers"].as_array().expect("layers");
    let found = layers.iter().find(|layer| layer["what"] == what)?;
    Some(blob(project, &found["digest"]))
}

fn layer(project: &Project, report: &Value, what: &str) -> BTreeMap<String, (u64, u32)> {
    entries(&layer_of(project, &report["packages"][0], what).expect("the layer"))
}

#[test]
fn an_image_has_what_it_needs_and_no_secrets() {
    let project = project();
    let (report, _) = package(&project, &[]);
    let files = layer(&project, &report, "project");
    for there in ["app/emu.toml", "app/functions/api.js", "app/dist/ready.wat"] {
        assert!(files.contains_key(there), "{files:?}");
    }
    assert_eq!(files["app/.emu/"], (65_532, 0o700));
    for secret in ["app/.env", "app/art/logo.psd", "app/.git/HEAD"] {
        assert!(!files.contains_key(secret), "{secret}");
    }
    let packages = layer(&project, &report, "packages");
    assert!(packages.contains_key("app/node_modules/tiny/index.js"), "{packages:?}");
    assert!(
        !packages.contains_key("app/node_modules/tiny/unused.js"),
        "nobody reads it"
    );
    let emu = layer(&project, &report, "emu");
    assert_eq!(emu["usr/local/bin/emu"].1, 0o755);
    let scripts = layer(&project, &report, "scripts");
    let is_code = |path: &&String| path.starts_with("var/cache/emu/code/") && !path.ends_with('/');
    assert_eq!(
        scripts.keys().filter(is_code).count(),
        1,
        "what runs scripts: {scripts:?}"
    );
    assert_eq!(files.keys().filter(is_code).count(), 1, "the command's: {files:?}");
    let system = layer(&project, &report, "system");
    assert!(system.keys().any(|path| path.contains("libc.so")), "{system:?}");
    assert_eq!(system["tmp/"].1, 0o1777);
    let warning = report["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains(".env") && warning.contains("API_KEY"), "{warning}");

    let manifest: Value = serde_json::from_slice(&blob(&project, &report["packages"][0]["digest"])).expect("JSON");
    let config: Value = serde_json::from_slice(&blob(&project, &manifest["config"]["digest"])).expect("JSON");
    let env: Vec<&str> = config["config"]["Env"]
        .as_array()
        .expect("env")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        env.contains(&"EMU_PASS=API_KEY") && env.contains(&"PORT=8080"),
        "{env:?}"
    );
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(
        config["rootfs"]["diff_ids"].as_array().map(Vec::len),
        manifest["layers"].as_array().map(Vec::len)
    );
    let text = format!("{manifest}{config}");
    assert!(!text.contains("sk-12345678"), "{text}");
}

#[test]
fn a_named_env_file_stays_out_and_its_names_are_passed() {
    let project = project();
    project.write("deploy/production.vars", "\u{feff}DB_PASSWORD=pg-12345678\nLAST=x");
    let vars = project.path().join("deploy/production.vars");
    let (report, _) = package(&project, &["--env-file", vars.to_str().expect("UTF-8")]);
    let files = layer(&project, &report, "project");
    assert!(!files.contains_key("app/deploy/production.vars"), "{files:?}");
    let warning = report["warnings"][0].as_str().expect("a warning");
    assert!(
        warning.contains("deploy/production.vars") && warning.contains("API_KEY, DB_PASSWORD, LAST"),
        "{warning}"
    );
}

#[test]
fn what_hardly_belongs_into_an_image_is_told() {
    let project = project();
    project.write("certs/server.pem", "-----BEGIN PRIVATE KEY-----\n");
    project.write("certs/public.pem", "-----BEGIN CERTIFICATE-----\n");
    project.write(".npmrc", "//registry.example.com/:_authToken=npm_12345678\n");
    let film = std::fs::File::create(project.path().join("film.mp4")).expect("a file");
    film.set_len(30_000_000).expect("a large file");
    let env = "env = { JWT_SECRET = \"x\", DATABASE = \"postgres://me:pass@db/shop\", COLOUR = \"blue\" }\nbind =";
    project.edit("emu.toml", "bind =", env);
    project.edit(
        "emu.toml",
        "[queues.orders]",
        "[bus]\nurl = \"nats://token@127.0.0.1\"\n[queues.orders]",
    );
    // An image of before, under another name.
    let run = project.emu(["package", "--compression", "none", "-o", "before.tar", "--quiet"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let (report, _) = package(&project, &[]);
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains(".npmrc is in the image and holds secrets, it seems, like 1 more"),
        "{warnings}"
    );
    assert!(
        warnings.contains("film.mp4 (30 MB) is in the image and is large"),
        "{warnings}"
    );
    assert!(!layer(&project, &report, "project").contains_key("app/before.tar"));
    assert!(
        warnings.contains("emu.toml holds DATABASE, JWT_SECRET, and is in the image"),
        "{warnings}"
    );
    assert!(warnings.contains("[bus] url holds a login"), "{warnings}");
    project.write(".emuignore", "*.mp4\n.npmrc\ncerts/\n");
    let (report, _) = package(&project, &[]);
    let warnings = report["warnings"].to_string();
    assert!(
        !warnings.contains("holds secrets") && !warnings.contains("film.mp4"),
        "{warnings}"
    );
    std::os::unix::fs::symlink("../beside.txt", project.path().join("beside.txt")).expect("a link");
    let run = project.emu(["package", "-o", "image"]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(
        said.contains("beside.txt is a link to ../beside.txt, which is not in the image"),
        "{said}"
    );
    assert!(!run.status.success() && said.contains(".emuignore"), "{said}");
}

#[test]
fn digests_depend_on_the_input_only_and_code_is_the_last_layer() {
    let (one, two) = (project(), project());
    let (first, _) = package(&one, &["--tag", "v1"]);
    let (second, _) = package(&two, &["--tag", "v1"]);
    // The name of a project without one is its folder's.
    let layers = |report: &Value| -> Vec<String> {
        let layers = report["packages"][0]["layers"].as_array().expect("layers").iter();
        layers
            .map(|layer| layer["digest"].as_str().expect("a digest").to_owned())
            .collect()
    };
    assert_eq!(layers(&first), layers(&second));
    let (again, _) = package(&one, &["--tag", "v1"]);
    assert_eq!(first, again);
    one.edit("functions/api.js", "new Response(a)", "new Response(a + a)");
    let (changed, _) = package(&one, &["--tag", "v1"]);
    let (before, after) = (layers(&first), layers(&changed));
    assert_eq!(before.len(), after.len());
    let same = before.iter().zip(&after).filter(|(a, b)| a == b).count();
    assert_eq!(same, before.len() - 1);
    assert_ne!(before.last(), after.last());
}

#[test]
fn one_image_a_function_shares_layers() {
    let project = project();
    let (report, _) = package(&project, &["--per-function"]);
    let images = report["packages"].as_array().expect("images");
    assert_eq!(images.len(), 2);
    assert_eq!(images[0]["tag"], "api-latest");
    assert_eq!(images[0]["layers"][1]["digest"], images[1]["layers"][1]["digest"]);
    let manifest: Value = serde_json::from_slice(&blob(&project, &images[0]["digest"])).expect("JSON");
    let config: Value = serde_json::from_slice(&blob(&project, &manifest["config"]["digest"])).expect("JSON");
    let env = config["config"]["Env"].to_string();
    assert!(env.contains("EMU_FUNCTIONS=api\""), "{env}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("env.ORDERS (queue orders)"), "{warnings}");
}

#[test]
fn an_image_upon_another() {
    let base = project();
    let (_, _) = package(&base, &[]);
    let from = base.path().join("image");
    let project = project();
    let (report, _) = package(&project, &["--base", from.to_str().expect("UTF-8")]);
    let manifest: Value = serde_json::from_slice(&blob(&project, &report["packages"][0]["digest"])).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers");
    // The base's five, then emu, scripts, packages and project.
    assert_eq!(layers.len(), 5 + 4);
    for layer in layers {
        assert!(!blob(&project, &layer["digest"]).is_empty());
    }
    assert!(manifest["annotations"]["org.opencontainers.image.base.digest"].is_string());
    let run = project.emu(["package", "-o", "x.tar", "--base", "nowhere"]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && said.contains("skopeo copy"), "{said}");
}

#[test]
fn mistakes_are_told_before_anything_is_written() {
    let project = project();
    let said = |args: &[&str]| {
        let run = crate::harness::emu(project.path())
            .args(args)
            .output()
            .expect("run emu");
        assert!(!run.status.success(), "{args:?}");
        String::from_utf8_lossy(&run.stderr).into_owned()
    };
    assert!(said(&["package", "apo", "-o", "x"]).contains("did you mean api?"));
    assert!(said(&["package", "-o", "functions"]).contains("holds something else than an image"));
    project.write("notes.tar", "something else");
    assert!(said(&["package", "-o", "notes.tar"]).contains("holds something else than an image"));
    assert!(said(&["package", "--push", "https://ghcr.io/a/b"]).contains("without https://"));
    // Nobody is there.
    let refused = said(&["package", "api", "--format", "wasm", "--push", "127.0.0.1:1/a/b"]);
    assert!(
        refused.contains("refused") && refused.contains("can be reached"),
        "{refused}"
    );
    let empty = Project::new(&[("functions/_helper.js", "")]);
    let run = empty.emu(["package", "-o", "x"]);
    assert!(String::from_utf8_lossy(&run.stderr).contains("the project has no functions"));
    assert!(said(&["package", "-o", "x", "--format", "rpm"]).contains("expected oci, wasm or zip"));
    assert!(said(&["package"]).contains("--output"));
    assert!(
        said(&["package", "-o", "x", "--format", "zip", "--push", "ghcr.io/a/b"])
            .contains("registries take no archives")
    );
    assert!(
        said(&["package", "-o", "x", "--format", "wasm", "--per-function"]).contains("--per-function is for images")
    );
    assert!(!project.path().join("x").exists());
    let mut left = std::fs::read_dir(project.path()).expect("a folder").flatten();
    assert!(!left.any(|entry| entry.file_name().to_string_lossy().starts_with(".emu-package")));
    project.write("functions/api.js", "export default {");
    assert!(said(&["package", "-o", "x"]).contains("api does not build"));
    assert!(!Path::new(&project.path().join("x")).exists());
}

#[test]
fn functions_and_variables_are_chosen_when_it_runs() {
    let files = [
        (
            "functions/api.js",
            "export default { fetch: (r, env) => new Response(`${env.GREETING} ${env.API_KEY}`) };\n",
        ),
        (
            "functions/other.js",
            "export default { fetch: () => new Response('no') };\n",
        ),
        (
            "emu.toml",
            "[functions.built]\nsource = \"dist/b.js\"\nbuild = \"exit 1\"\n",
        ),
        ("dist/b.js", "export default { fetch: () => new Response('built') };\n"),
    ];
    let project = Project::new(&files);
    let emu = project.serve_with(&["--functions", "built", "--no-build", "--pass", "NOT_SET_ANYWHERE"]);
    assert_eq!(emu.get("/built").text(), "built");
    assert_eq!(emu.get("/other").status, 404);
    let run = Project::new(&files).emu(["serve", "--functions", "bilt"]);
    assert!(String::from_utf8_lossy(&run.stderr).contains("did you mean built?"));
    let mut said = String::new();
    let project = Project::new(&files[..2]);
    let mut child = crate::harness::emu(project.path())
        .args([
            "serve",
            "--log-format",
            "json",
            "--port",
            "0",
            "--control-port",
            "0",
            "--pass",
            "GREETING,API_KEY",
        ])
        .env("GREETING", "hello")
        .env("API_KEY", "sk-12345678")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("start emu");
    let mut stdout = child.stdout.take().expect("piped");
    let url = loop {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).expect("a line"), 1, "{said}");
        said.push(char::from(byte[0]));
        if byte[0] == b'\n' {
            let line: Value = serde_json::from_str(&std::mem::take(&mut said)).expect("JSON");
            if line["event"] == "ready" {
                break line["functions_url"].as_str().expect("a URL").to_owned();
            }
        }
    };
    let answer = crate::harness::request(http::Method::GET, &format!("{url}/api"), &[], String::new());
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(answer.text(), "hello sk-12345678");
}

/// Blobs and manifests by what they are asked for with.
type Stored = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// One call of the distribution specification, by somebody with a password.
fn distribute(
    kept: &Stored,
    method: &http::Method,
    path: &str,
    query: &BTreeMap<String, String>,
    auth: Option<&str>,
    body: &[u8],
) -> http::Response<String> {
    let answer = |status: u16, headers: &[(&str, &str)]| {
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(String::new()).expect("a response")
    };
    // me:secret
    if auth != Some("Basic bWU6c2VjcmV0") {
        return answer(401, &[("www-authenticate", "Basic realm=\"test\"")]);
    }
    let mut kept = kept.lock().expect("nobody panics with it");
    match method.as_str() {
        "GET" => answer(200, &[]),
        "HEAD" => answer(
            if kept.contains_key(path) { 200 } else { 404 },
            &[("content-length", "0")],
        ),
        "POST" => answer(202, &[("location", &format!("{path}u"))]),
        "PATCH" => {
            let part = kept.entry(path.to_owned()).or_default();
            part.extend_from_slice(body);
            let range = format!("0-{}", part.len() - 1);
            answer(202, &[("location", path), ("range", &range)])
        }
        "PUT" => {
            let name = match query.get("digest") {
                Some(digest) => path.replace("/uploads/u", &format!("/{digest}")),
                None => path.to_owned(),
            };
            let mut bytes = kept.remove(path).unwrap_or_default();
            bytes.extend_from_slice(body);
            kept.insert(name.clone(), bytes);
            answer(201, &[("location", &name)])
        }
        _ => answer(405, &[]),
    }
}

/// A registry on a free port that keeps what it is sent.
fn registry() -> (String, Stored, tokio::runtime::Runtime) {
    let stored = Stored::default();
    let kept = stored.clone();
    let routes = warp::method()
        .and(warp::path::full())
        .and(warp::query::<BTreeMap<String, String>>())
        .and(warp::header::optional::<String>("authorization"))
        .and(warp::body::bytes())
        .map(
            move |method: http::Method, path: warp::path::FullPath, query, auth: Option<String>, body: bytes::Bytes| {
                distribute(&kept, &method, path.as_str(), &query, auth.as_deref(), &body)
            },
        );
    let (address, runtime) = serve(routes.boxed());
    (address.to_string(), stored, runtime)
}

#[test]
fn artefacts_of_components_go_to_a_registry() {
    let project = project();
    let (address, stored, _runtime) = registry();
    let to = format!("{address}/me/shop");
    let push = |docker: &Path| {
        let mut emu = crate::harness::emu(project.path());
        let emu = emu.args(["package", "--format", "wasm", "--json", "--tag", "v1", "--push", &to]);
        let runtime_dir = project.path().join("run");
        let emu = emu.env("DOCKER_CONFIG", docker).env("XDG_RUNTIME_DIR", runtime_dir);
        emu.env_remove("REGISTRY_AUTH_FILE").output().expect("run emu")
    };
    let nothing = push(&project.path().join("none"));
    let said = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert!(!nothing.status.success() && said.contains("docker login"), "{said}");
    assert!(said.contains("it answers with 401 Unauthorized"), "{said}");
    let login = format!(r#"{{"auths": {{"{address}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#);
    project.write("docker/config.json", "{");
    let damaged = String::from_utf8_lossy(&push(&project.path().join("docker")).stderr).into_owned();
    assert!(damaged.contains("config.json is no JSON"), "{damaged}");
    project.write("run/containers/auth.json", &login);
    let podman = push(&project.path().join("none"));
    assert!(podman.status.success(), "{}", String::from_utf8_lossy(&podman.stderr));
    project.remove("run/containers/auth.json");
    stored.lock().expect("nobody panics with it").clear();
    project.write("docker/config.json", &login);
    let run = push(&project.path().join("docker"));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert!(
        report["warnings"].to_string().contains("env.ORDERS (queue orders)"),
        "{report}"
    );
    let stored = stored.lock().expect("nobody panics with it");
    let manifest = stored.get("/v2/me/shop/api/manifests/v1").expect("the manifest");
    let manifest: Value = serde_json::from_slice(manifest).expect("JSON");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    let blob = |digest: &Value| &stored[&format!("/v2/me/shop/api/blobs/{}", digest.as_str().expect("a digest"))];
    let component = blob(&manifest["layers"][0]["digest"]);
    assert!(component.starts_with(b"\0asm"));
    assert_eq!(
        component.len() as u64,
        manifest["layers"][0]["size"].as_u64().expect("a size")
    );
    let config: Value = serde_json::from_slice(blob(&manifest["config"]["digest"])).expect("JSON");
    assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
    let exports = config["component"]["exports"].to_string();
    assert!(exports.contains("wasi:http/handler@0.3"), "{exports}");
    // The command too, as a component.
    let command = stored.get("/v2/me/shop/ready/manifests/v1").expect("the manifest");
    assert!(String::from_utf8_lossy(command).contains("dev.emu.functions"));
}

#[test]
fn handlers_as_archives() {
    let project = Project::new(&[
        (
            "functions/api.ts",
            "import { greet } from \"../lib/greet\";\nimport texts from \"./texts.json\";\nimport { a } from \"tiny\";\nexport const handler = async (event: { name: string }): Promise<string> => greet(event.name) + texts.end + a;\n",
        ),
        ("functions/texts.json", "{ \"end\": \"!\" }"),
        (
            "functions/worker.js",
            "export default { fetch: () => new Response() };\n",
        ),
        (
            "lib/greet.ts",
            "export function greet(name: string): string { return `hello ${name}`; }\n",
        ),
        (
            "node_modules/tiny/package.json",
            r#"{ "name": "tiny", "main": "index.js" }"#,
        ),
        ("node_modules/tiny/index.js", "exports.a = 'one';\n"),
        ("node_modules/unused/index.js", "1\n"),
    ]);
    let run = project.emu(["package", "--format", "zip", "--json", "-o", "out"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(report["packages"][0]["handler"], "functions/api.handler");
    assert!(
        report["warnings"].to_string().contains("worker cannot be packaged"),
        "{report}"
    );
    let file = std::fs::File::open(project.path().join("out/api.zip")).expect("an archive");
    let mut zip = zip::ZipArchive::new(file).expect("an archive");
    let mut names: Vec<String> = zip
        .file_names()
        .map(|name| name.expect("a name").into_owned())
        .collect();
    names.sort();
    let expect = [
        "functions/api.mjs",
        "functions/texts.json",
        "functions/texts.json.mjs",
        "lib/greet.mjs",
        "node_modules/tiny/index.js",
        "node_modules/tiny/package.json",
    ];
    assert_eq!(names, expect);
    let mut text = |name: &str| std::io::read_to_string(zip.by_name(name).expect(name)).expect("text");
    let api = text("functions/api.mjs");
    assert!(
        api.contains("\"../lib/greet.mjs\"") && api.contains("\"./texts.json.mjs\"") && api.contains("\"tiny\""),
        "{api}"
    );
    assert!(!api.contains("Promise<string>"), "{api}");
    assert_eq!(
        text("functions/texts.json.mjs").trim(),
        "export default { \"end\": \"!\" };"
    );
    let run = project.emu(["package", "worker", "--format", "zip", "-o", "worker.zip"]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && said.contains("export const handler"), "{said}");
}
