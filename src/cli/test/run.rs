//! Runs one test file from its first step to its last.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::failure::Failure;
use crate::engine::Engine;
use crate::live::outbound::Held;
use crate::project::Target;
use crate::project::testfile::TestFile;

use super::check::{self, Finding};
use super::stage::{Answer, SEED, Setting, Stage};
use super::vars::Vars;

/// What a file came to.
pub struct Ended {
    pub file: Arc<TestFile>,
    pub seed: u64,
    pub took: Duration,
    pub findings: Vec<Told>,
    /// Answers to steps that expect nothing yet, by step.
    pub answers: Vec<(usize, Answer)>,
    /// What the functions wrote last, when something is not as expected.
    pub said: Vec<String>,
    /// What the network has answered functions.
    pub recorded: Vec<Held>,
    /// It was run with random faults.
    pub swarm: bool,
}

/// A finding with the step after which it was made.
pub struct Told {
    pub step: Option<usize>,
    pub finding: Finding,
}

impl Ended {
    pub fn new(file: Arc<TestFile>, seed: u64) -> Ended {
        Ended {
            file,
            seed,
            took: Duration::ZERO,
            findings: Vec::new(),
            answers: Vec::new(),
            said: Vec::new(),
            recorded: Vec::new(),
            swarm: false,
        }
    }

    /// With `updated` what can be written into the file counts as right.
    pub fn passed(&self, updated: bool) -> bool {
        self.findings.iter().all(|told| updated && told.finding.right.is_some())
    }
}

/// Lines of output that a failure shows.
const SAID_MAX: usize = 30;

/// What the command line says about all files.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub project: Option<PathBuf>,
    pub seed: Option<u64>,
    pub record: bool,
}

pub async fn file(file: Arc<TestFile>, asked: &Asked, engine: &Engine) -> Ended {
    let begun = Instant::now();
    let setting = Setting {
        seed: asked.seed.or(file.seed).unwrap_or(SEED),
        faults: &file.faults,
        record: asked.record,
        engine,
    };
    let mut ended = Ended::new(file.clone(), setting.seed);
    if let Err(finding) = play(&file, asked, setting, &mut ended).await {
        ended.findings.push(finding);
    }
    ended.took = begun.elapsed();
    ended
}

/// The folder of the project that a file tests.
fn project_of(file: &TestFile, named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let folder = file.source.path.parent().unwrap_or(Path::new("."));
    let path = match (&file.project, named) {
        (_, Some(named)) => return Ok(named),
        (Some(written), None) => folder.join(&written.value),
        (None, None) => folder
            .ancestors()
            .find(|folder| crate::project::find(Some(folder)).is_ok())
            .ok_or_else(|| Failure::new("no project above this file").remedy("name it: `project = \"../shop\"`"))?
            .to_owned(),
    };
    match crate::project::find(Some(&path))? {
        Target::Folder(root) | Target::File(root) => Ok(root),
    }
}

pub fn failed(step: Option<usize>, span: &std::ops::Range<usize>, failure: &Failure) -> Told {
    let text = failure.said();
    let (message, rest) = text.split_once('\n').unwrap_or((text.as_str(), ""));
    let mut finding = Finding::new(span, message);
    if !rest.is_empty() {
        finding = finding.shown(rest);
    }
    Told { step, finding }
}

async fn play(file: &TestFile, asked: &Asked, setting: Setting<'_>, ended: &mut Ended) -> Result<(), Told> {
    let stage = open(file, asked, setting).await?;
    let played = steps(file, &stage, ended).await;
    ended.recorded = stage.recorded();
    stage.close().await;
    played
}

/// A stage for a file.
pub async fn open(file: &TestFile, asked: &Asked, setting: Setting<'_>) -> Result<Stage, Told> {
    let place = file.project.as_ref().map_or(0..0, |project| project.span.clone());
    let project = project_of(file, asked.project.clone()).map_err(|failure| failed(None, &place, &failure))?;
    let stage = Stage::open(file, &project, setting).await;
    stage.map_err(|failure| failed(None, &place, &failure))
}

async fn steps(file: &TestFile, stage: &Stage, ended: &mut Ended) -> Result<(), Told> {
    let mut vars = Vars::default();
    for (at, step) in file.steps.iter().enumerate() {
        let here = |failure: Failure| failed(Some(at), &step.act.span, &failure);
        let act = vars.act(&step.act.value);
        let answer = stage.act(&act).await.map_err(here)?;
        let told = |finding| Told {
            step: Some(at),
            finding,
        };
        if let Some(answer) = answer {
            let findings = check::answer(&step.expect, &answer, &step.act.span, &vars);
            ended.findings.extend(findings.into_iter().map(told));
            for (name, path) in &step.save {
                let saved = vars.save(&name.value, path, &answer);
                saved.map_err(|error| told(Finding::new(&name.span, error)))?;
            }
            if !step.expect.written {
                ended.answers.push((at, answer));
            }
        }
        let facts = stage.facts(&[&step.expect, &file.always]).await.map_err(here)?;
        let mut findings = check::state(&step.expect, &facts, &vars);
        findings.extend(
            check::state(&file.always, &facts, &vars)
                .into_iter()
                .map(|mut finding| {
                    // What always holds is not made to fit.
                    finding.right = None;
                    finding
                }),
        );
        ended.findings.extend(findings.into_iter().map(told));
        // What comes after a step that went wrong says little; an update goes on, since all of it is to be written.
        if ended.findings.iter().any(|told| told.finding.right.is_none()) {
            return remember(stage, ended).await;
        }
    }
    let end = |failure: Failure| failed(None, &(0..0), &failure);
    let facts = stage.facts(&[&file.expect]).await.map_err(end)?;
    let findings = check::state(&file.expect, &facts, &vars);
    ended
        .findings
        .extend(findings.into_iter().map(|finding| Told { step: None, finding }));
    match ended.findings.is_empty() {
        true => Ok(()),
        false => remember(stage, ended).await,
    }
}

/// Keeps what the functions wrote last.
pub async fn remember(stage: &Stage, ended: &mut Ended) -> Result<(), Told> {
    let facts = stage
        .facts(&[])
        .await
        .map_err(|failure| failed(None, &(0..0), &failure))?;
    let lines = facts.events.iter().filter(|event| event["event"] == "log");
    let lines = lines.filter_map(|event| Some(format!("{}: {}", event["function"].as_str()?, event["text"].as_str()?)));
    let lines: Vec<String> = lines.collect();
    ended.said = lines[lines.len().saturating_sub(SAID_MAX)..].to_vec();
    Ok(())
}
