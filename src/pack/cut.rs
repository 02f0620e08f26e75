//! What of a project some of its functions need: those that they call, and an emu.toml of these. What another function is made of
//! is not in it, so a change there leaves the image as it was.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::PackError;
use crate::project::{Function, Project};

const HEAD: &str = "# Made by emu package: what this image serves of the project's emu.toml.\n";

/// The functions and those that they call, which run in the same emulator.
pub fn along(project: &Project, chosen: &BTreeSet<String>) -> BTreeSet<String> {
    let mut along = chosen.clone();
    let mut todo: Vec<&String> = chosen.iter().collect();
    while let Some(name) = todo.pop() {
        for called in project.functions.get(name).into_iter().flat_map(Function::calls) {
            if along.insert(called.clone()) {
                todo.push(called);
            }
        }
    }
    along
}

/// emu.toml for these functions. `chosen` keep their routes and crons, others of `along` are there to be called. Queues, topics and
/// stores stay as they are, with all who subscribe to a topic: on a bus they are everybody's, and whoever takes a
/// topic's message hands it to all.
///
/// # Errors
/// When the project's own cannot be read any more.
pub fn manifest(project: &Project, chosen: &BTreeSet<String>, along: &BTreeSet<String>) -> Result<String, PackError> {
    let mut root = match &project.manifest {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(PackError::at(path))?;
            let parsed = text.parse::<Table>();
            parsed.map_err(|error| PackError::new(format!("{}: {error}", path.display())))?
        }
        None => Table::new(),
    };
    let mut declared = take(&mut root, "functions");
    let mut functions = Table::new();
    for name in along {
        let Some(function) = project.functions.get(name) else {
            continue;
        };
        let table = own(function, take_from(&mut declared, name), chosen.contains(name));
        functions.insert(name.clone(), Value::Table(table));
    }
    for (name, table) in declared {
        if let Some(topic) = table.get("topic") {
            let subscribes = Table::from_iter([("topic".to_owned(), topic.clone())]);
            functions.insert(name, Value::Table(subscribes));
        }
    }
    // In the image the folder has another name.
    let mut general = take(&mut root, "project");
    general.insert("name".to_owned(), Value::String(project.name.clone()));
    root.insert("project".to_owned(), Value::Table(general));
    root.insert("functions".to_owned(), Value::Table(functions));
    let text = toml::to_string(&root)
        .map_err(|error| PackError::new(format!("the image's emu.toml cannot be written: {error}")))?;
    Ok(format!("{HEAD}{text}"))
}

fn own(function: &Function, declared: Option<Table>, is_chosen: bool) -> Table {
    let text = |text: String| Value::String(text);
    let is_declared = declared.is_some();
    let mut table = declared.unwrap_or_default();
    let source = function.source.to_string_lossy().replace('\\', "/");
    table.insert("source".to_owned(), text(source));
    if table.remove("build").is_some() {
        // By default it follows from the build.
        table.insert("runtime".to_owned(), text(function.runtime.clone()));
    }
    if !is_chosen {
        table.remove("cron");
        table.insert("http".to_owned(), Value::Boolean(false));
    } else if !is_declared {
        let routes = function.routes.iter().map(|route| text(route.to_string()));
        table.insert("http".to_owned(), Value::Array(routes.collect()));
    }
    table
}

fn take(root: &mut Table, key: &str) -> Table {
    take_from(root, key).unwrap_or_default()
}

fn take_from(root: &mut Table, key: &str) -> Option<Table> {
    match root.remove(key) {
        Some(Value::Table(table)) => Some(table),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::project::{LoadOptions, Project};

    const MANIFEST: &str = r#"
[project]
provider = "aws-lambda"
secrets = ["TOKEN"]

# Said of nobody else.
[functions.api]
http = ["GET /products/{id}", "/orders"]
memory = "256MB"
keep_alive = { policy = "half-life", period = "100s" }
bind = { BILLING = "function:billing", NEWS = "topic:news" }
on_failure = "queue:dead"
env = { COLOUR = "blue" }

[functions.billing]
source = "dist/billing.wasm"
build = { command = "cargo build", watch = ["src"] }
cron = [{ schedule = "0 8 * * 1-5", timezone = "America/Sao_Paulo" }]
http = "/billing"
bind = { AUDIT = "function:audit" }

[functions.mail]
topic = { from = "news", filter = { kind = ["order"] } }
env = { TOKEN = "sk-12345678" }

[functions.other]
cron = "0 0 * * *"

[queues.dead]
[topics.news]
queues = [{ to = "dead" }]
[kv.carts]
ttl = "1h"
[http.cors]
origins = ["https://example.com"]
"#;

    fn load(root: &Path, only: &[&str]) -> Project {
        let options = LoadOptions {
            only: only.iter().map(|name| (*name).to_owned()).collect(),
            ..LoadOptions::default()
        };
        Project::load_with(Some(root), &options).expect("a project").project
    }

    #[test]
    fn what_is_cut_out_means_what_it_meant() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for path in [
            "functions/api.js",
            "functions/mail.js",
            "functions/audit.js",
            "functions/other.js",
            "dist/billing.wasm",
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, "").expect("a file");
        }
        std::fs::write(root.join("emu.toml"), MANIFEST).expect("a file");
        let whole = load(root, &[]);
        let chosen = BTreeSet::from(["api".to_owned()]);
        let along = along(&whole, &chosen);
        assert_eq!(along.iter().collect::<Vec<_>>(), ["api", "audit", "billing"]);
        let text = manifest(&whole, &chosen, &along).expect("a manifest");
        assert!(
            !text.contains("sk-12345678") && !text.contains("Said of nobody"),
            "{text}"
        );
        // Nothing else is in the image.
        for gone in ["functions/mail.js", "functions/other.js"] {
            std::fs::remove_file(root.join(gone)).expect("removed");
        }
        std::fs::write(root.join("emu.toml"), &text).expect("a file");
        let cut = load(root, &["api", "audit", "billing"]);
        assert_eq!(cut.functions["api"], whole.functions["api"]);
        let (billing, before) = (&cut.functions["billing"], &whole.functions["billing"]);
        assert_eq!(billing.runtime, before.runtime);
        assert_eq!(billing.bind, before.bind);
        assert!(billing.routes.is_empty() && billing.crons.is_empty() && billing.build.is_none());
        assert!(cut.functions["audit"].routes.is_empty());
        assert_eq!(cut.elsewhere["mail"], whole.functions["mail"].topic);
        assert_eq!(
            (&cut.name, &cut.queues, &cut.topics),
            (&whole.name, &whole.queues, &whole.topics)
        );
        assert_eq!(
            (&cut.kv, &cut.http, &cut.secrets),
            (&whole.kv, &whole.http, &whole.secrets)
        );
        // A function that nobody declared keeps the routes that it had by its name.
        let chosen = BTreeSet::from(["audit".to_owned()]);
        std::fs::write(root.join("emu.toml"), MANIFEST).expect("a file");
        let text = manifest(&whole, &chosen, &chosen).expect("a manifest");
        std::fs::write(root.join("emu.toml"), &text).expect("a file");
        assert_eq!(
            load(root, &["audit"]).functions["audit"],
            whole.functions["audit"],
            "{text}"
        );
    }
}
