//! Files that are being made: their steps tried, for what they are answered, and the whole once it is written.

use std::path::Path;
use std::sync::Arc;

use crate::engine::Engine;
use crate::live::recording::Seen;
use crate::project::faults::Faults;
use crate::project::testfile::TestFile;

use super::run::{self, Asked};
use super::stage::{Setting, Stage};
use super::vars::Vars;

/// What each step is answered, whatever it is.
///
/// # Errors
/// Why the steps cannot be done.
pub async fn answers(file: &TestFile, root: &Path, seed: u64, engine: &Engine) -> Result<Vec<Option<Seen>>, String> {
    let setting = Setting {
        seed,
        faults: &Faults::default(),
        record: false,
        engine,
    };
    let stage = Stage::open(file, root, setting).await;
    let stage = stage.map_err(|failure| failure.said())?;
    let mut seen = Vec::new();
    let mut vars = Vars::default();
    let mut outcome = Ok(());
    for step in &file.steps {
        match stage.act(&vars.act(&step.act.value)).await {
            Ok(answer) => {
                for (name, path) in &step.save {
                    // Without it the later step is answered otherwise, which shows.
                    let _ = answer.as_ref().map(|answer| vars.save(&name.value, path, answer));
                }
                seen.push(answer.map(|answer| Seen {
                    status: answer.status,
                    body: answer.text(),
                }));
            }
            Err(failure) => {
                outcome = Err(format!("{}: {}", step.title(), failure.said()));
                break;
            }
        }
    }
    stage.close().await;
    outcome.map(|()| seen)
}

/// What of a file does not hold on a fresh emulator.
pub async fn doubts(file: Arc<TestFile>, root: &Path, engine: &Engine) -> Vec<String> {
    let asked = Asked {
        project: Some(root.to_owned()),
        ..Asked::default()
    };
    let ended = run::file(file, &asked, engine).await;
    let one = |told: &run::Told| {
        let step = told.step.and_then(|at| ended.file.steps.get(at));
        let step = step.map_or_else(String::new, |step| format!("{}: ", step.title()));
        format!("{step}{}", told.finding.message)
    };
    ended.findings.iter().map(one).collect()
}
