//! Where a project is found, what a folder without a manifest holds, and what is said where there is none.

use std::fs;
use std::path::Path;

use super::diagnostic::{Diagnostics, render_all};
use super::{LoadOptions, Loaded, Project, SourceKind};
use crate::platform::time::Span;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

fn load(path: &Path) -> Loaded {
    Project::load(Some(path)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn fault(path: &Path) -> Diagnostics {
    match Project::load(Some(path)) {
        Ok(loaded) => panic!("loads, and should not: {:?}", loaded.project),
        Err(problems) => problems,
    }
}

/// `name source routes`, a line a function.
fn listed(project: &Project) -> String {
    let line = |f: &super::Function| {
        let routes: Vec<String> = f.routes.iter().map(ToString::to_string).collect();
        format!(
            "{} {} {}",
            f.name,
            super::discover::slashed(&f.source),
            routes.join(" ")
        )
    };
    project.functions.values().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn files_and_folders_of_functions_are_functions() {
    let dir = folder(&[
        ("functions/api.ts", ""),
        ("functions/hello.js", ""),
        ("functions/task.wat", ""),
        ("functions/shop/index.mjs", ""),
        ("functions/shop/cart.js", ""),
        ("functions/image/image.wasm", ""),
        ("functions/_helper.js", ""),
        ("functions/.hidden.js", ""),
        ("functions/_lib/index.js", ""),
        ("functions/api.test.ts", ""),
        ("functions/api.spec.ts", ""),
        ("functions/types.d.ts", ""),
        ("functions/package.json", "{}"),
        ("functions/node_modules/x/index.js", ""),
    ]);
    let loaded = load(dir.path());
    assert_eq!(
        listed(&loaded.project),
        "api functions/api.ts /api /api/*\n\
         hello functions/hello.js /hello /hello/*\n\
         image functions/image/image.wasm /image /image/*\n\
         shop functions/shop/index.mjs /shop /shop/*\n\
         task functions/task.wat /task /task/*"
    );
    assert!(loaded.warnings.is_empty(), "{}", render_all(&loaded.warnings, false));
    assert_eq!(loaded.project.functions["task"].kind, SourceKind::Wasm);
    assert_eq!(loaded.project.functions["task"].runtime, "rust");
    assert_eq!(loaded.project.functions["api"].runtime, "nodejs22");
    assert_eq!(loaded.project.manifest, None);
}

#[test]
fn what_is_not_served_is_said() {
    let dir = folder(&[
        ("functions/a.py", ""),
        ("functions/[id].js", ""),
        ("functions/lib/util.js", ""),
        ("functions/native/Cargo.toml", ""),
    ]);
    let loaded = load(dir.path());
    let said = render_all(&loaded.warnings, false);
    for expected in [
        "functions/a.py is not served",
        "build = \"componentize-py componentize ... -o a.wasm\"",
        "functions/[id].js is not served: `[id]` is no name for a function",
        "rename it to `id`",
        "functions/lib is not served: it has no index.ts, index.js or lib.wasm",
        "rename the folder to `_lib`",
        "dir = \"functions/native\"",
        "the project has no functions",
    ] {
        assert!(said.contains(expected), "{expected:?} is missing in\n{said}");
    }
}

#[test]
fn declared_sources_are_not_found_a_second_time() {
    let manifest = "[functions.shop]\nsource = \"functions/api.js\"\n[functions.cart]\nsource = \"functions/cart\"\n";
    let dir = folder(&[
        ("emu.toml", manifest),
        ("functions/api.js", ""),
        ("functions/cart/index.ts", ""),
    ]);
    assert_eq!(
        listed(&load(dir.path()).project),
        "cart functions/cart/index.ts /cart /cart/*\nshop functions/api.js /shop /shop/*"
    );
}

#[test]
fn two_sources_of_one_name_are_an_error_until_one_is_named() {
    let dir = folder(&[("functions/api.js", ""), ("functions/api.ts", "")]);
    let said = fault(dir.path()).render(false);
    assert!(
        said.contains("the function `api` has several sources: functions/api.js, functions/api.ts"),
        "{said}"
    );
    fs::write(
        dir.path().join("emu.toml"),
        "[functions.api]\nsource = \"functions/api.ts\"\n",
    )
    .expect("written");
    assert_eq!(listed(&load(dir.path()).project), "api functions/api.ts /api /api/*");
}

#[test]
fn a_function_for_messages_has_no_route_of_its_own() {
    let manifest = "[functions.a]\nqueue = \"q\"\n[functions.b]\ncron = \"* * * * *\"\nhttp = \"GET /b\"\n[functions.c]\n\
                    http = false\n[queues.q]\n";
    let dir = folder(&[
        ("emu.toml", manifest),
        ("functions/a.js", ""),
        ("functions/b.js", ""),
        ("functions/c.js", ""),
    ]);
    assert_eq!(
        listed(&load(dir.path()).project),
        "a functions/a.js \nb functions/b.js GET /b\nc functions/c.js "
    );
}

#[test]
fn one_file_is_served_on_every_path() {
    let dir = folder(&[("my handler.ts", ""), ("emu.toml", "nonsense = 1")]);
    let loaded = load(&dir.path().join("my handler.ts"));
    assert_eq!(listed(&loaded.project), "function my handler.ts /*");
    assert_eq!(loaded.project.root, dir.path().canonicalize().expect("there"));
    let said = fault(&dir.path().join("emu.toml")).render(false);
    assert!(said.contains("unknown key `nonsense`"), "{said}");
}

#[test]
fn the_provider_decides_defaults_and_the_command_line_decides_the_provider() {
    let dir = folder(&[
        ("emu.toml", "[project]\nprovider = \"cloudflare-workers\"\n"),
        ("functions/a.js", ""),
    ]);
    let of_manifest = load(dir.path()).project;
    assert_eq!(of_manifest.provider, "cloudflare-workers");
    assert_eq!(of_manifest.functions["a"].runtime, "isolate");
    let with = |id: &str| {
        Project::load_with(
            Some(dir.path()),
            &LoadOptions {
                provider: Some(id.to_owned()),
                ..LoadOptions::default()
            },
        )
    };
    let aws = with("aws-lambda").expect("loads").project;
    assert_eq!(
        (aws.functions["a"].timeout, aws.functions["a"].memory_mb),
        (Span::from_secs(3), 128)
    );
    let said = with("amazon").expect_err("no such provider").render(false);
    assert!(
        said.contains("no provider is called `amazon`") && said.contains("did you mean"),
        "{said}"
    );
}

#[test]
fn a_project_is_found_from_below() {
    let dir = folder(&[("emu.toml", ""), ("functions/a/index.js", ""), ("src/deep/x.txt", "")]);
    let root = dir.path().canonicalize().expect("there");
    for below in ["", "src", "src/deep", "functions/a"] {
        assert_eq!(
            super::load::find_upward(&dir.path().join(below)),
            Some(root.clone()),
            "{below}"
        );
    }
    // Named outright, a folder is meant itself; where the project is gets said.
    let said = fault(&dir.path().join("src")).render(false);
    assert!(
        said.contains("no project in") && said.contains("the project is"),
        "{said}"
    );
}

#[test]
fn a_path_that_is_not_there_is_answered_with_the_nearest() {
    let dir = folder(&[("shop/emu.toml", "")]);
    let said = fault(&dir.path().join("shpo")).render(false);
    assert!(
        said.contains("there is no") && said.contains("did you mean") && said.contains("shop"),
        "{said}"
    );
    let dir = folder(&[("notes.txt", "")]);
    let said = fault(&dir.path().join("notes.txt")).render(false);
    assert!(said.contains("emu cannot run"), "{said}");
}

#[test]
fn an_odd_manifest_is_refused_with_its_place() {
    let dir = folder(&[("functions/a.js", "")]);
    fs::write(dir.path().join("emu.toml"), b"[project]\nname = \"\xff\"\n").expect("written");
    let said = fault(dir.path()).render(false);
    assert!(said.contains("emu.toml:2: not valid UTF-8"), "{said}");
    fs::write(dir.path().join("emu.toml"), "# x\n".repeat(300_000)).expect("written");
    let said = fault(dir.path()).render(false);
    assert!(said.contains("larger than 1MB"), "{said}");
}

#[test]
#[cfg(unix)]
fn symbolic_links_may_not_leave_the_project() {
    let outside = folder(&[("secret.js", "")]);
    let dir = folder(&[("functions/ok.js", "")]);
    let link = dir.path().join("functions/leak.js");
    std::os::unix::fs::symlink(outside.path().join("secret.js"), &link).expect("linked");
    let said = fault(dir.path()).render(false);
    assert!(
        said.contains("functions/leak.js: a symbolic link that leaves the project"),
        "{said}"
    );
    fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink(dir.path().join("functions/ok.js"), &link).expect("linked");
    assert_eq!(load(dir.path()).project.functions.len(), 2);
}

/// What is shown for a folder with another tool's file: the lines of emu.toml.
fn lines_for(files: &[(&str, &str)]) -> String {
    let dir = folder(files);
    let problems = fault(dir.path());
    assert!(
        problems.0[0].notes.iter().any(|note| note.contains(files[0].0)),
        "{problems}"
    );
    problems.0[0].example.clone().unwrap_or_default()
}

#[test]
fn an_empty_folder_says_what_was_looked_for() {
    let dir = folder(&[]);
    let said = fault(dir.path()).render(false);
    assert!(
        said.contains("looked for emu.toml and for a folder functions/"),
        "{said}"
    );
    assert!(said.contains("`emu new DIR` makes a new project"), "{said}");
    let dir = folder(&[("worker.js", ""), ("vite.config.js", "")]);
    let said = fault(dir.path()).render(false);
    assert!(said.contains("`emu dev worker.js` serves that file alone"), "{said}");
}

#[test]
fn a_wrangler_file_is_translated() {
    let toml = "name = \"shop\"\nmain = \"src/worker.ts\"\n[triggers]\ncrons = [\"*/5 * * * *\"]\n";
    let expected = "[project]\nname = \"shop\"\nprovider = \"cloudflare-workers\"\n\n[functions.shop]\n\
                    source = \"src/worker.ts\"\nhttp = \"/*\"\ncron = \"*/5 * * * *\"";
    assert_eq!(lines_for(&[("wrangler.toml", toml)]), expected);
    let jsonc = "{\n  // a comment with a \" in it\n  \"name\": \"shop\", /* and */ \"main\": \"src/worker.ts\",\n  \
                 \"triggers\": { \"crons\": [\"*/5 * * * *\",] },\n}\n";
    assert_eq!(lines_for(&[("wrangler.jsonc", jsonc)]), expected);
}

#[test]
fn a_serverless_file_is_translated() {
    let yaml = "service: shop # the name\nprovider:\n  name: aws\nfunctions:\n  api:\n    handler: src/api.handler\n    \
                events:\n      - httpApi: 'GET /products/{id}'\n      - http:\n          method: post\n          path: orders\n  \
                report:\n    handler: report.main\n    events:\n      - schedule: rate(5 minutes)\n";
    assert_eq!(
        lines_for(&[("serverless.yml", yaml), ("src/api.ts", "")]),
        "[project]\nname = \"shop\"\nprovider = \"aws-lambda\"\n\n[functions.api]\nsource = \"src/api.ts\"\n\
         http = [\"GET /products/{id}\", \"POST /orders\"]\n\n[functions.report]\nsource = \"report.js\"\n\
         cron = \"rate(5 minutes)\""
    );
}

#[test]
fn a_sam_template_is_translated() {
    let yaml = "Resources:\n  HelloFunction:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: hello/\n      \
                Handler: app.lambdaHandler\n      Events:\n        Hello:\n          Type: Api\n          Properties:\n            \
                Path: /hello\n            Method: get\n";
    assert_eq!(
        lines_for(&[("template.yaml", yaml), ("hello/app.mjs", "")]),
        "[project]\nprovider = \"aws-lambda\"\n\n[functions.HelloFunction]\nsource = \"hello/app.mjs\"\nhttp = \"GET /hello\""
    );
}

#[test]
fn translated_lines_are_a_valid_manifest() {
    let yaml = "service: shop\nfunctions:\n  api:\n    handler: src/api.handler\n";
    let lines = lines_for(&[("serverless.yml", yaml), ("src/api.ts", "")]);
    let dir = folder(&[("emu.toml", &lines), ("src/api.ts", "")]);
    assert_eq!(listed(&load(dir.path()).project), "api src/api.ts /api /api/*");
}
