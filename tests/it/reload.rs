//! The reloader against a real folder, with a loader that needs no engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use emu::engine::{LoadError, LoadPhases, Source};
use emu::live::reload::{
    Built, Change, Control, Failed, Loader, Options, ReadProject, Reason, Reloader, Reread, Unreadable,
};
use emu::project::Project;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// So long a change may take on a machine that does other things; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Loads the text of a file. A line `use PATH` reads another file (relative to the project) and is replaced by its
/// text; a line with `broken` is an error.
struct Text;

#[derive(Debug)]
struct Loaded {
    text: String,
    watch: Vec<PathBuf>,
}

impl Loader for Text {
    type Loaded = Loaded;

    fn load(&self, source: Source) -> BoxFuture<'static, Result<Loaded, LoadError>> {
        Box::pin(async move {
            let mut watch = Vec::new();
            match expand(&source.project_root, &source.entry, &mut watch) {
                Ok(text) => Ok(Loaded { text, watch }),
                Err(message) => Err(LoadError {
                    message,
                    place: None,
                    detail: None,
                    watch,
                }),
            }
        })
    }

    fn phases(_: &Loaded) -> LoadPhases {
        LoadPhases::default()
    }

    fn watch(loaded: &Loaded) -> Vec<PathBuf> {
        loaded.watch.clone()
    }
}

fn expand(root: &Path, file: &Path, watch: &mut Vec<PathBuf>) -> Result<String, String> {
    watch.push(file.to_owned());
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut out = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("use ") {
            Some(path) => out.push(expand(root, &root.join(path), watch)?),
            None if line.contains("broken") => return Err("it is broken".to_owned()),
            None => out.push(line.to_owned()),
        }
    }
    Ok(out.join("+"))
}

/// A project in a folder of its own, and what the reloader tells of it.
struct Bench {
    home: tempfile::TempDir,
    root: PathBuf,
    changes: mpsc::Receiver<Change<Loaded>>,
    control: Control,
    stop: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Bench {
    /// Starts, and waits until all functions have been loaded once.
    async fn start(files: &[(&str, &str)]) -> Bench {
        Bench::start_with(files, Options::default()).await
    }

    async fn start_with(files: &[(&str, &str)], options: Options) -> Bench {
        let home = tempfile::tempdir().expect("a folder");
        let root = home.path().canonicalize().expect("a path").join("project");
        for (path, text) in files {
            write(&root.join(path), text);
        }
        let project = Project::load(Some(&root)).expect("a valid project").project;
        let folder = root.clone();
        let read: ReadProject = Arc::new(move || match Project::load(Some(&folder)) {
            Ok(loaded) => Ok(Reread {
                project: loaded.project,
                warnings: Vec::new(),
            }),
            Err(problems) => Err(Unreadable {
                rendered: problems.render(false),
            }),
        });
        let (reloader, control) = Reloader::new(Arc::new(project), read, Arc::new(Text), options);
        let (sender, changes) = mpsc::channel(64);
        let stop = CancellationToken::new();
        tokio::spawn(reloader.run(sender, stop.clone()));
        let mut bench = Bench {
            home,
            root,
            changes,
            control,
            stop,
        };
        bench.until(|change| matches!(change, Change::Settled)).await;
        bench
    }

    /// The next change for which `wanted` holds; those before it are dropped.
    async fn until(&mut self, wanted: impl Fn(&Change<Loaded>) -> bool) -> Change<Loaded> {
        let mut seen = Vec::new();
        let search = async {
            while let Some(change) = self.changes.recv().await {
                if wanted(&change) {
                    return Some(change);
                }
                seen.push(change);
            }
            None
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(Some(change)) => change,
            _ => panic!("it did not come; what came: {seen:#?}"),
        }
    }

    async fn built(&mut self, function: &str, text: &str) -> Built<Loaded> {
        let is_it = |change: &Change<Loaded>| matches!(change, Change::Built(b) if b.function == function && b.loaded.text == text);
        match self.until(is_it).await {
            Change::Built(built) => built,
            other => unreachable!("{other:?}"),
        }
    }

    async fn failed(&mut self, function: &str) -> Failed {
        match self
            .until(|change| matches!(change, Change::Failed(failed) if failed.function == function))
            .await
        {
            Change::Failed(failed) => failed,
            other => unreachable!("{other:?}"),
        }
    }

    /// Saves `file` and waits for the version of it; whatever else came until then.
    async fn changes_until_saved(&mut self, file: &str, function: &str) -> Vec<Change<Loaded>> {
        self.write(file, "a mark");
        let mut seen = Vec::new();
        let search = async {
            while let Some(change) = self.changes.recv().await {
                if matches!(&change, Change::Built(b) if b.function == function && b.loaded.text == "a mark") {
                    return;
                }
                seen.push(change);
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .expect("the mark is served");
        seen
    }

    fn write(&self, path: &str, text: &str) {
        write(&self.root.join(path), text);
    }

    /// As most editors save.
    fn save_atomically(&self, path: &str, text: &str) {
        let temporary = self.root.join(format!("{path}.1234.tmp-save"));
        write(&temporary, text);
        fs::rename(temporary, self.root.join(path)).expect("a rename");
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a written file");
}

#[tokio::test]
async fn a_save_is_a_new_version_with_its_phases() {
    let mut bench = Bench::start(&[("functions/a.js", "one"), ("functions/b.js", "b")]).await;
    bench.write("functions/a.js", "two");
    let built = bench.built("a", "two").await;
    assert_eq!(
        (built.cause.reason, built.cause.files),
        (Reason::Change, vec!["functions/a.js".to_owned()])
    );
    let names: Vec<String> = built.phases.list_ms().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["watch", "read", "link"]);
    // Nothing else was loaded: the next thing that happens is the mark.
    let others = bench.changes_until_saved("functions/b.js", "b").await;
    assert!(
        others.iter().all(|change| matches!(change, Change::Settled)),
        "{others:#?}"
    );
}

#[tokio::test]
async fn atomic_saves_and_backups_of_editors() {
    let mut bench = Bench::start(&[("functions/a.js", "0")]).await;
    for n in 1..=5 {
        bench.save_atomically("functions/a.js", &n.to_string());
        bench.built("a", &n.to_string()).await;
    }
    // Vim with `backupcopy=no`.
    fs::rename(bench.root.join("functions/a.js"), bench.root.join("functions/a.js~")).expect("a rename");
    bench.write("functions/a.js", "vim");
    bench.built("a", "vim").await;
    fs::remove_file(bench.root.join("functions/a.js~")).expect("a removal");
    bench.write("functions/a.js", "after");
    bench.built("a", "after").await;
}

#[tokio::test]
async fn a_touch_reloads_nothing() {
    let mut bench = Bench::start(&[("functions/a.js", "one"), ("functions/b.js", "b")]).await;
    bench.write("functions/a.js", "one");
    bench.write("emu.toml", "");
    let others = bench.changes_until_saved("functions/b.js", "b").await;
    let is_of_a = |change: &Change<Loaded>| matches!(change, Change::Built(built) if built.function == "a");
    assert!(!others.iter().any(is_of_a), "{others:#?}");
}

#[tokio::test]
async fn imports_count_wherever_they_lie() {
    let files = [
        ("functions/a.js", "use lib/x.js"),
        ("functions/b.js", "use node_modules/m/i.js"),
        ("lib/x.js", "x"),
        ("node_modules/m/i.js", "m"),
    ];
    let mut bench = Bench::start(&files).await;
    bench.write("lib/x.js", "xx");
    bench.built("a", "xx").await;
    bench.write("node_modules/m/i.js", "mm");
    bench.built("b", "mm").await;
    // What was missed counts too.
    bench.write("functions/a.js", "use lib/deep/er/y.js");
    bench.failed("a").await;
    bench.write("lib/deep/er/y.js", "y");
    bench.built("a", "y").await;
    // A folder on the way is renamed, and comes back with something else in it.
    fs::rename(bench.root.join("lib"), bench.root.join("lib2")).expect("a rename");
    bench.failed("a").await;
    bench.write("lib/deep/er/y.js", "yy");
    bench.built("a", "yy").await;
}

#[tokio::test]
async fn a_broken_save_is_told_and_mended() {
    let mut bench = Bench::start(&[("functions/a.js", "one")]).await;
    bench.write("functions/a.js", "broken");
    assert_eq!(bench.failed("a").await.error.message, "it is broken");
    bench.write("functions/a.js", "two");
    bench.built("a", "two").await;
}

#[tokio::test]
async fn functions_come_and_go() {
    let mut bench = Bench::start(&[("functions/a.js", "one")]).await;
    bench.write("functions/b.js", "b");
    bench
        .until(|change| matches!(change, Change::Project { project, .. } if project.functions.contains_key("b")))
        .await;
    bench.built("b", "b").await;
    fs::remove_file(bench.root.join("functions/b.js")).expect("a removal");
    bench
        .until(|change| matches!(change, Change::Removed { function, .. } if function == "b"))
        .await;
    // As a folder of its own.
    bench.write("functions/c/index.js", "c");
    bench.built("c", "c").await;
    bench.write("functions/c/index.js", "cc");
    bench.built("c", "cc").await;
}

#[tokio::test]
async fn the_functions_folder_is_made_anew() {
    let mut bench = Bench::start(&[("emu.toml", ""), ("functions/a.js", "one"), ("functions/b.js", "b")]).await;
    for n in 0..3 {
        fs::remove_dir_all(bench.root.join("functions")).expect("a removal");
        bench.write("functions/a.js", &format!("anew {n}"));
        bench.write("functions/b.js", &format!("b {n}"));
        bench.built("b", &format!("b {n}")).await;
        bench.write("functions/a.js", &format!("saved {n}"));
        bench.built("a", &format!("saved {n}")).await;
    }
}

#[tokio::test]
async fn the_project_folder_vanishes_and_comes_back() {
    let mut bench = Bench::start(&[("emu.toml", ""), ("functions/a.js", "one")]).await;
    let away = bench.home.path().join("away");
    fs::rename(&bench.root, &away).expect("a rename");
    bench
        .until(|change| matches!(change, Change::Notice { message, .. } if message.contains("is gone")))
        .await;
    write(&away.join("functions/a.js"), "changed meanwhile");
    fs::rename(&away, &bench.root).expect("a rename");
    bench
        .until(|change| matches!(change, Change::Notice { message, .. } if message.contains("is back")))
        .await;
    bench.built("a", "changed meanwhile").await;
    bench.write("functions/a.js", "after");
    bench.built("a", "after").await;
}

#[tokio::test]
async fn an_edit_of_the_manifest() {
    let manifest = |rest: &str| format!("[functions.a]\nsource = \"src/a.js\"\n{rest}");
    let files = [
        ("emu.toml", manifest("")),
        ("src/a.js", "one".to_owned()),
        ("src/b.js", "b".to_owned()),
    ];
    let mut bench = Bench::start(&files.each_ref().map(|(path, text)| (*path, text.as_str()))).await;
    // Settings alone: no version.
    bench.write("emu.toml", &manifest("memory = \"512MB\"\n"));
    let memory = |change: &Change<Loaded>| matches!(change, Change::Project { project, .. } if project.functions["a"].memory_mb == 512);
    bench.until(memory).await;
    // Broken: the last good one stays, and functions go on reloading.
    bench.save_atomically("emu.toml", &manifest("memori = \"1GB\"\n"));
    bench
        .until(|change| matches!(change, Change::ProjectBroken { rendered, .. } if rendered.contains("memori")))
        .await;
    bench.write("src/a.js", "two");
    bench.built("a", "two").await;
    // Mended, with another source and another function.
    bench.save_atomically(
        "emu.toml",
        "[functions.a]\nsource = \"src/b.js\"\n[functions.c]\nsource = \"src/a.js\"\n",
    );
    let mut built = Vec::new();
    while built.len() < 2 {
        if let Change::Built(b) = bench.until(|change| matches!(change, Change::Built(_))).await {
            built.push((b.function, b.loaded.text));
        }
    }
    built.sort();
    assert_eq!(
        built,
        [("a".to_owned(), "b".to_owned()), ("c".to_owned(), "two".to_owned())]
    );
}

#[tokio::test]
async fn a_branch_switch_ends_in_the_new_state_without_a_false_alarm() {
    let name = |n: usize| format!("functions/f{n}.js");
    let files: Vec<(String, String)> = (0..20).map(|n| (name(n), format!("use lib/old{n}.js"))).collect();
    let libs: Vec<(String, String)> = (0..20).map(|n| (format!("lib/old{n}.js"), "old".to_owned())).collect();
    let all: Vec<(&str, &str)> = files
        .iter()
        .chain(&libs)
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let mut bench = Bench::start(&all).await;
    fs::create_dir(bench.root.join(".git")).expect("a folder");
    for n in 0..20 {
        // As git does it: the old file goes, the new one is written; what is imported comes after its importer.
        fs::remove_file(bench.root.join(name(n))).expect("a removal");
        bench.write(&name(n), &format!("use lib/new{n}.js"));
    }
    for n in 0..20 {
        fs::remove_file(bench.root.join(format!("lib/old{n}.js"))).expect("a removal");
        bench.write(&format!("lib/new{n}.js"), "new");
    }
    let mut waiting: std::collections::BTreeSet<String> = (0..20).map(|n| format!("f{n}")).collect();
    while !waiting.is_empty() {
        let change = bench
            .until(|change| matches!(change, Change::Built(_) | Change::Failed(_)))
            .await;
        match change {
            Change::Built(built) if built.loaded.text == "new" => {
                waiting.remove(&built.function);
            }
            Change::Built(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn without_notifications_times_are_compared() {
    let options = Options {
        poll: true,
        ..Options::default()
    };
    let mut bench = Bench::start_with(&[("functions/a.js", "one")], options).await;
    bench.write("functions/a.js", "two!");
    bench.built("a", "two!").await;
    bench.write("functions/b.js", "b");
    bench.built("b", "b").await;
}

#[tokio::test]
async fn without_watching_it_reloads_when_asked() {
    let options = Options {
        watch: false,
        ..Options::default()
    };
    let mut bench = Bench::start_with(&[("functions/a.js", "one")], options).await;
    bench.write("functions/a.js", "two");
    bench.write("functions/b.js", "b");
    bench.control.reload_all();
    let mut built = Vec::new();
    while let Change::Built(b) = bench
        .until(|change| matches!(change, Change::Built(_) | Change::Settled))
        .await
    {
        assert_eq!(b.cause.reason, Reason::Asked);
        built.push((b.function, b.loaded.text));
    }
    built.sort();
    assert_eq!(
        built,
        [("a".to_owned(), "two".to_owned()), ("b".to_owned(), "b".to_owned())]
    );
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::symlink;

    use super::*;

    const BUILT: &str =
        "[functions.a]\nsource = \"out/a.js\"\nbuild = { command = \"sh build.sh\", watch = [\"src\"] }\n";

    #[tokio::test]
    async fn a_build_command_runs_when_its_sources_change() {
        let script = "echo building; mkdir -p out; cat src/* > out/a.js; grep -q bad out/a.js && { echo src/x:1:1 bad >&2; exit 1; }; true";
        let mut bench = Bench::start(&[("emu.toml", BUILT), ("build.sh", script), ("src/x", "one")]).await;
        bench.write("src/x", "two");
        bench
            .until(|change| matches!(change, Change::Output { line, .. } if line == "building"))
            .await;
        let built = bench.built("a", "two").await;
        let names: Vec<String> = built.phases.list_ms().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["watch", "build", "read", "link"]);
        assert!(
            built.cause.files.contains(&"src/x".to_owned()),
            "{:?}",
            built.cause.files
        );
        // A new source, which leaves the artefact as it is.
        bench.write("src/empty", "");
        bench
            .until(|change| matches!(change, Change::Unchanged { function, .. } if function == "a"))
            .await;
        bench.write("src/x", "bad");
        let failed = bench.failed("a").await;
        assert_eq!(failed.error.place.map(|place| place.file), Some("src/x".to_owned()));
        assert_eq!(failed.error.detail.as_deref(), Some("building\nsrc/x:1:1 bad"));
        bench.write("src/x", "three");
        bench.built("a", "three").await;
        // Built by hand.
        bench.write("out/a.js", "by hand");
        bench.built("a", "by hand").await;
    }

    #[tokio::test]
    async fn a_newer_change_ends_the_running_command() {
        // The first run waits for ever.
        let script = "mkdir -p out; grep -q wait src/x && { echo waiting; sleep 600; }; cp src/x out/a.js";
        let mut bench = Bench::start(&[("emu.toml", BUILT), ("build.sh", script), ("src/x", "one")]).await;
        bench.write("src/x", "wait");
        bench
            .until(|change| matches!(change, Change::Output { line, .. } if line == "waiting"))
            .await;
        bench.write("src/x", "two");
        bench.built("a", "two").await;
    }

    #[tokio::test]
    async fn functions_share_the_run_of_their_command() {
        let manifest = "[functions.a]\nsource = \"out/a.js\"\nbuild = \"sh build.sh\"\n\
                        [functions.b]\nsource = \"out/b.js\"\nbuild = \"sh build.sh\"\n";
        let script = "echo run; mkdir -p out; cp x out/a.js; cp x out/b.js";
        let mut bench = Bench::start(&[("emu.toml", manifest), ("build.sh", script), ("x", "one")]).await;
        bench.write("x", "two");
        let (mut runs, mut built) = (0, Vec::new());
        while built.len() < 2 {
            match bench
                .until(|change| matches!(change, Change::Output { .. } | Change::Built(_)))
                .await
            {
                Change::Built(b) => built.push((b.function, b.loaded.text)),
                _ => runs += 1,
            }
        }
        built.sort();
        assert_eq!(
            built,
            [("a".to_owned(), "two".to_owned()), ("b".to_owned(), "two".to_owned())]
        );
        assert_eq!(runs, 1);
    }

    #[tokio::test]
    async fn a_command_that_makes_nothing_is_told() {
        let mut bench = Bench::start(&[
            ("emu.toml", BUILT),
            ("build.sh", "mkdir -p out; cp src/x out/a.js"),
            ("src/x", "one"),
        ])
        .await;
        bench.write("build.sh", "rm -f out/a.js");
        bench.write("src/x", "two");
        assert!(bench.failed("a").await.error.message.contains("left no `out/a.js`"));
    }

    #[tokio::test]
    async fn links_that_lead_out_are_refused_and_links_within_are_followed() {
        let mut bench = Bench::start(&[("functions/a.js", "one"), ("lib/x.js", "x")]).await;
        let secret = bench.home.path().join("secret.js");
        write(&secret, "secret");
        symlink(&secret, bench.root.join("functions/b.js")).expect("a link");
        bench.until(|change| matches!(change, Change::ProjectBroken { rendered, .. } if rendered.contains("functions/b.js"))).await;
        fs::rename(bench.root.join("functions/b.js"), bench.root.join("functions/a.js")).expect("a rename");
        let failed = bench.failed("a").await;
        assert!(
            failed.error.message.contains("leads out of the project"),
            "{}",
            failed.error.message
        );
        bench.save_atomically("functions/a.js", "two");
        bench.built("a", "two").await;
        symlink("../lib/x.js", bench.root.join("functions/c.js")).expect("a link");
        bench.built("c", "x").await;
        bench.write("lib/x.js", "xx");
        bench.built("c", "xx").await;
    }
}
