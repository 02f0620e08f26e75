//! `emu new`: a working project from a template.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;

use super::failure::{Failure, Outcome};
use super::{output, types};
use crate::project::schema;

/// Make a new project: emu.toml, functions and a short README
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Where; the folder is made when it is not there
    pub dir: PathBuf,

    /// What to begin with
    #[arg(short, long, value_enum, default_value_t = Template::Js)]
    pub template: Template,

    /// Write into a folder that has files already; those of the same name are kept
    #[arg(long)]
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// A function in JavaScript
    Js,
    /// A function in TypeScript with its own routes
    Ts,
    /// A WebAssembly component in Rust
    Component,
    /// A function that runs by the clock
    Cron,
    /// An API, a queue and a worker with a dead letter queue
    Queue,
    /// A chatbot by rules with a page, in TypeScript
    Chatbot,
}

/// Where a file goes, and its text.
type File = (&'static str, &'static str);

const GITIGNORE: &str = include_str!("templates/gitignore");
const TSCONFIG: &str = include_str!("templates/tsconfig.json");

/// Stands for the project's name in the templates.
const NAME: &str = "__NAME__";

impl Template {
    fn files(self) -> &'static [File] {
        match self {
            Template::Js => &[
                ("emu.toml", include_str!("templates/js/emu.toml")),
                ("functions/hello.js", include_str!("templates/js/hello.js")),
                ("README.md", include_str!("templates/js/README.md")),
                ("tsconfig.json", TSCONFIG),
                (".gitignore", GITIGNORE),
            ],
            Template::Ts => &[
                ("emu.toml", include_str!("templates/ts/emu.toml")),
                ("functions/api.ts", include_str!("templates/ts/api.ts")),
                ("functions/_greet.ts", include_str!("templates/ts/_greet.ts")),
                ("README.md", include_str!("templates/ts/README.md")),
                ("tsconfig.json", TSCONFIG),
                (".gitignore", GITIGNORE),
            ],
            Template::Component => &[
                ("emu.toml", include_str!("templates/component/emu.toml")),
                ("Cargo.toml", include_str!("templates/component/Cargo.toml.in")),
                ("src/lib.rs", include_str!("templates/component/lib.rs")),
                ("README.md", include_str!("templates/component/README.md")),
                (".gitignore", include_str!("templates/component/gitignore")),
            ],
            Template::Cron => &[
                ("emu.toml", include_str!("templates/cron/emu.toml")),
                ("functions/report.js", include_str!("templates/cron/report.js")),
                ("README.md", include_str!("templates/cron/README.md")),
                ("tsconfig.json", TSCONFIG),
                (".gitignore", GITIGNORE),
            ],
            Template::Queue => &[
                ("emu.toml", include_str!("templates/queue/emu.toml")),
                ("functions/api.js", include_str!("templates/queue/api.js")),
                ("functions/worker.js", include_str!("templates/queue/worker.js")),
                ("README.md", include_str!("templates/queue/README.md")),
                ("tsconfig.json", TSCONFIG),
                (".gitignore", GITIGNORE),
            ],
            Template::Chatbot => &[
                ("emu.toml", include_str!("templates/chatbot/emu.toml")),
                ("functions/chat.ts", include_str!("templates/chatbot/chat.ts")),
                ("functions/_rules.ts", include_str!("templates/chatbot/_rules.ts")),
                ("functions/_page.ts", include_str!("templates/chatbot/_page.ts")),
                ("README.md", include_str!("templates/chatbot/README.md")),
                ("tsconfig.json", TSCONFIG),
                (".gitignore", GITIGNORE),
            ],
        }
    }

    /// What to type next, below `cd` and `emu dev`.
    fn first_steps(self) -> &'static [&'static str] {
        match self {
            Template::Js => &["curl http://127.0.0.1:3680/hello/emu"],
            Template::Ts => &["curl http://127.0.0.1:3680/hello/emu"],
            Template::Component => &["curl http://127.0.0.1:3680/emu"],
            Template::Cron => &["emu crons", "emu fire report"],
            Template::Queue => &["curl -d '{\"product\": \"tea\"}' http://127.0.0.1:3680/orders"],
            Template::Chatbot => &["open http://127.0.0.1:3680/ in a browser"],
        }
    }
}

/// Writes the template and says what to do next, on stderr.
///
/// # Errors
/// When the folder holds files and `--force` is not given, or cannot be written.
pub fn run(args: &Args) -> Outcome {
    let kept = write(args)?;
    let mut text = format!(
        "created {} from the template {}\n",
        args.dir.display(),
        value_name(args.template)
    );
    for name in kept {
        text.push_str(&format!("  kept {name}, which was there already\n"));
    }
    text.push_str("\nnext:\n");
    if args.dir != Path::new(".") {
        text.push_str(&format!("  cd {}\n", quoted(&args.dir)));
    }
    if args.template == Template::Component {
        text.push_str("  rustup target add wasm32-wasip2    # once\n");
    }
    text.push_str("  emu dev\n\nthen, beside it:\n");
    for step in args.template.first_steps() {
        text.push_str(&format!("  {step}\n"));
    }
    output::say(&text);
    Ok(ExitCode::SUCCESS)
}

/// Writes what is not there yet; returns the names of files that were.
fn write(args: &Args) -> Result<Vec<&'static str>, Failure> {
    let dir = &args.dir;
    if !args.force && !is_empty(dir)? {
        return Err(Failure::usage(format!("{} is not empty", dir.display()))
            .remedy("choose another folder, or use --force, which keeps the files that are there"));
    }
    fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
    let name = project_name(dir);
    let mut kept = Vec::new();
    for (file, text) in args.template.files() {
        let path = dir.join(file);
        // Also true of a symbolic link that leads nowhere: nothing is written through it.
        if path.symlink_metadata().is_ok() {
            kept.push(*file);
            continue;
        }
        write_file(&path, &text.replace(NAME, &name))?;
    }
    write_file(&dir.join(".emu/schema.json"), &schema::pretty())?;
    if args.template != Template::Component && !kept.contains(&"emu.toml") {
        types::refresh(dir)?;
    }
    Ok(kept)
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}

/// A folder that is not there counts as empty, and so does one that has only a `.git`.
fn is_empty(dir: &Path) -> Result<bool, Failure> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Failure::usage(format!("{} is a file", dir.display())).remedy("name a folder"));
        }
        Err(error) => return Err(unreadable(dir, &error)),
    };
    for entry in entries {
        if entry.map_err(|error| unreadable(dir, &error))?.file_name() != ".git" {
            return Ok(false);
        }
    }
    Ok(true)
}

fn unreadable(dir: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("failed to read {}: {error}", dir.display()))
}

/// The folder's name as far as it fits into quotes in TOML.
fn project_name(dir: &Path) -> String {
    let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = real
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
        .collect();
    if name.trim().is_empty() { "app".to_owned() } else { name }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_alphanumeric() || "/._-~\\:".contains(c));
    if plain {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn value_name(template: Template) -> String {
    template
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;
    use crate::report::style::Style;

    fn args(dir: &Path, template: Template) -> Args {
        Args {
            dir: dir.to_owned(),
            template,
            force: false,
        }
    }

    #[test]
    fn every_template_is_a_valid_project_without_a_warning() {
        for template in Template::value_variants() {
            let folder = tempfile::tempdir().expect("a folder");
            let dir = folder.path().join("my \"shop\"");
            write(&args(&dir, *template)).unwrap_or_else(|error| panic!("{template:?}: {error:?}"));
            let loaded = Project::load(Some(&dir)).unwrap_or_else(|problems| panic!("{template:?}:\n{problems}"));
            assert!(loaded.warnings.is_empty(), "{template:?}: {:?}", loaded.warnings);
            assert_eq!(loaded.project.name, "my shop");
            assert!(!loaded.project.functions.is_empty());
            let ignored = fs::read_to_string(dir.join(".gitignore")).expect("a .gitignore");
            for name in [".emu/", ".env*"] {
                assert!(ignored.lines().any(|line| line == name), "{template:?}");
            }
            assert!(
                !fs::read_to_string(dir.join("README.md"))
                    .expect("a README")
                    .contains(NAME)
            );
            let manifest = fs::read_to_string(dir.join("emu.toml")).expect("a manifest");
            let schema = manifest
                .lines()
                .next()
                .and_then(|line| line.strip_prefix("#:schema "))
                .expect("a schema");
            assert!(dir.join(schema).is_file(), "{template:?}");
        }
    }

    #[test]
    fn a_folder_with_files_is_refused_and_forced_without_loss() {
        let folder = tempfile::tempdir().expect("a folder");
        let readme = folder.path().join("README.md");
        fs::write(&readme, "mine").expect("written");
        let mut args = args(folder.path(), Template::Queue);
        let refused = write(&args).expect_err("not empty").render(&Style::default());
        assert!(
            refused.contains("is not empty") && refused.contains("--force"),
            "{refused}"
        );
        assert!(!folder.path().join("emu.toml").exists());
        args.force = true;
        assert_eq!(write(&args).expect("forced"), ["README.md"]);
        assert_eq!(fs::read_to_string(&readme).expect("still there"), "mine");
        assert!(folder.path().join("functions/worker.js").is_file());
    }

    #[test]
    fn a_folder_with_only_git_is_empty_and_a_file_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join(".git")).expect("made");
        write(&args(folder.path(), Template::Js)).expect("only .git");
        let file = folder.path().join("emu.toml");
        assert!(
            write(&args(&file, Template::Js))
                .expect_err("a file")
                .render(&Style::default())
                .contains("is a file")
        );
    }
}
