//! Changed files against a project's functions.

use super::*;
use crate::platform::time::Span;
use crate::project::{Build, DevSettings, HttpSettings, Isolation, SourceKind};

pub fn function(name: &str, source: &str) -> Function {
    Function {
        name: name.to_owned(),
        source: source.into(),
        kind: SourceKind::Script,
        build: None,
        routes: Vec::new(),
        memory_mb: 128,
        timeout: Span::from_secs(3),
        runtime: "nodejs22".to_owned(),
        isolation: Isolation::Invocation,
        payload_v1: false,
        min_instances: 0,
        max_concurrency: None,
        concurrency: None,
        keep_alive: None,
        allow_hosts: Vec::new(),
        env: BTreeMap::new(),
        bind: BTreeMap::new(),
        queue: None,
        crons: Vec::new(),
        topic: None,
        on_failure: None,
        on_success: None,
        max_retries: None,
        max_age: None,
        args: Vec::new(),
    }
}

fn built(name: &str, source: &str, command: &str, dir: &str, watch: &[&str]) -> Function {
    let watch = watch.iter().map(PathBuf::from).collect();
    Function {
        build: Some(Build {
            command: command.to_owned(),
            dir: dir.into(),
            watch,
        }),
        ..function(name, source)
    }
}

fn project(functions: Vec<Function>) -> Project {
    Project {
        root: "/p".into(),
        name: "p".to_owned(),
        provider: "aws-lambda".to_owned(),
        functions: functions
            .into_iter()
            .map(|function| (function.name.clone(), function))
            .collect(),
        elsewhere: BTreeMap::new(),
        kv: Default::default(),
        queues: BTreeMap::new(),
        topics: BTreeMap::new(),
        http: HttpSettings::default(),
        history: Default::default(),
        dev: DevSettings::default(),
        secrets: Default::default(),
        secret_values: Default::default(),
        env_files: vec!["/p/.env".into()],
        env_names: Default::default(),
        manifest: None,
    }
}

fn example() -> (Project, BTreeMap<String, BTreeSet<PathBuf>>) {
    let project = project(vec![
        function("api", "functions/api.ts"),
        function("mail", "functions/mail.ts"),
        built(
            "rust",
            "crate/target/wasm32-wasip2/release/rust.wasm",
            "cargo build",
            "crate",
            &[],
        ),
        built("one", "dist/one.js", "npm run build", "", &["web", "shared/a.js"]),
        built("two", "dist/two.js", "npm run build", "", &["web"]),
    ]);
    let watched = [
        (
            "api",
            vec![
                "/p/functions/api.ts",
                "/p/lib/a.ts",
                "/p/node_modules/x/index.js",
                "/p/lib/missing.ts",
            ],
        ),
        ("mail", vec!["/p/functions/mail.ts", "/p/lib/a.ts"]),
        ("two", vec!["/p/dist/two.js", "/p/web/data.js"]),
    ];
    let watched = watched.map(|(name, files)| (name.to_owned(), files.into_iter().map(PathBuf::from).collect()));
    (project, watched.into())
}

/// `change` is a word for how (`~`: modified, `+`: appeared, `-`: vanished) and a path, a few of them. Gives what is to
/// be done in words.
fn check_with(broken: bool, change: &str, expect: &str) {
    let (project, watched) = example();
    let view = View {
        project: &project,
        watched: &watched,
        broken,
    };
    let files: Vec<(PathBuf, How)> = change
        .split_whitespace()
        .map(|word| {
            let (how, path) = word.split_at(1);
            let how = match how {
                "~" => How::Modified,
                "+" => How::Appeared,
                "-" => How::Vanished,
                other => panic!("no such change: {other}"),
            };
            (PathBuf::from(path), how)
        })
        .collect();
    let affected = view.affected(files.iter().map(|(path, how)| (path.as_path(), *how)));
    let mut words = Vec::new();
    words.extend(affected.reread.then(|| "project".to_owned()));
    words.extend(affected.builds.keys().map(|key| format!("build({})", key.command)));
    words.extend(affected.loads.keys().map(|name| format!("load({name})")));
    words.extend(affected.read_itself.iter().map(|name| format!("read({name})")));
    assert_eq!(words.join(" "), expect, "{change}");
}

fn check(change: &str, expect: &str) {
    check_with(false, change, expect);
}

#[test]
fn only_functions_that_read_the_file_load() {
    check("~/p/functions/api.ts", "load(api)");
    check("~/p/lib/a.ts", "load(api) load(mail)");
    check("~/p/lib/b.ts", "");
    check("~/p/node_modules/x/index.js", "load(api)");
    check("~/p/node_modules/y/index.js", "");
}

#[test]
fn a_path_that_was_missed_and_now_is_there_loads() {
    check("+/p/lib/missing.ts", "load(api)");
}

#[test]
fn what_makes_the_project_be_read_again() {
    check("~/p/emu.toml", "project");
    check("+/p/emu.toml", "project");
    check("~/p/.env", "project");
    check("+/p/functions/new.ts", "project");
    check("-/p/functions/mail.ts", "project load(mail)");
    check("+/p/functions/node_modules/z.js", "");
    check("+/p/functions/api.ts~", "");
    check("~/p/functions/_draft.ts", "");
    check("+/p/src/new.ts", "");
    check_with(true, "+/p/src/new.ts", "project");
    check_with(true, "~/p/src/new.ts", "");
}

#[test]
fn sources_of_a_build_run_it_and_its_output_does_not() {
    check("~/p/crate/src/bin/main.rs", "build(cargo build)");
    check("+/p/crate/src/new.rs", "build(cargo build)");
    check("~/p/crate/target/wasm32-wasip2/release/deps/x.d", "");
    check("~/p/web/index.ts", "build(npm run build)");
    check("~/p/shared/a.js", "build(npm run build)");
    check("~/p/shared/b.js", "");
    check("~/p/dist/one.js.map", "");
}

#[test]
fn an_artefact_that_changed_by_itself_loads() {
    check("~/p/crate/target/wasm32-wasip2/release/rust.wasm", "load(rust)");
    check("~/p/dist/one.js ~/p/dist/two.js", "load(one) load(two)");
}

#[test]
fn a_file_that_is_both_source_and_import_builds_first() {
    check("~/p/web/data.js", "build(npm run build) read(two)");
    check("~/p/web/data.js ~/p/dist/one.js", "build(npm run build) read(two)");
}

#[test]
fn a_whole_project_as_build_folder_ignores_the_output_only() {
    let project = project(vec![built("all", "dist/all.js", "make", "", &[])]);
    let watched = BTreeMap::new();
    let view = View {
        project: &project,
        watched: &watched,
        broken: false,
    };
    let builds = |path: &str| {
        !view
            .affected([(Path::new(path), How::Modified)].into_iter())
            .builds
            .is_empty()
    };
    assert!(builds("/p/src/a.ts") && builds("/p/build/script.js"));
    assert!(!builds("/p/dist/all.js") && !builds("/p/dist/all.js.map") && !builds("/p/.emu/run.json"));
}

#[test]
fn the_interest_covers_files_and_trees() {
    let (project, watched) = example();
    let view = View {
        project: &project,
        watched: &watched,
        broken: false,
    };
    let interest = view.interest();
    for file in ["/p/emu.toml", "/p/lib/missing.ts", "/p/dist/one.js", "/p/web/data.js"] {
        assert!(interest.files.contains(Path::new(file)), "{file}");
    }
    let trees: Vec<_> = interest
        .trees
        .iter()
        .map(|tree| tree.to_string_lossy().into_owned())
        .collect();
    assert_eq!(trees, ["/p/crate", "/p/functions", "/p/shared/a.js", "/p/web"]);
}

#[test]
fn settings_alone_rebuild_nothing() {
    let (old, _) = example();
    let mut new = old.clone();
    assert_eq!(difference(&old, &new), Difference::default());
    if let Some(api) = new.functions.get_mut("api") {
        api.memory_mb = 512;
    }
    assert_eq!(
        difference(&old, &new),
        Difference {
            any: true,
            ..Difference::default()
        }
    );
}

#[test]
fn sources_builds_and_environments_rebuild() {
    let (old, _) = example();
    let mut new = old.clone();
    new.functions.remove("mail");
    new.functions
        .insert("extra".to_owned(), function("extra", "functions/extra.ts"));
    if let Some(api) = new.functions.get_mut("api") {
        api.source = "functions/api/index.ts".into();
    }
    if let Some(build) = new.functions.get_mut("rust").and_then(|rust| rust.build.as_mut()) {
        build.command.push_str(" --release");
    }
    if let Some(one) = new.functions.get_mut("one") {
        one.env.insert("A".to_owned(), "b".to_owned());
    }
    let found = difference(&old, &new);
    let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        (names(&found.rebuild).as_str(), names(&found.removed).as_str()),
        ("api extra one rust", "mail")
    );
}

#[test]
fn a_huge_change_names_some_files() {
    let files: Vec<PathBuf> = (0..60).map(|n| PathBuf::from(format!("/p/f{n:02}.js"))).collect();
    let names = named(Path::new("/p"), files.iter());
    assert_eq!(
        (names.len(), names[0].as_str(), names[50].as_str()),
        (51, "f00.js", "and 10 more")
    );
    assert_eq!(named(Path::new("/p"), [Path::new("/q/a.js")].into_iter()), ["/q/a.js"]);
}
