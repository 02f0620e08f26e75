//! `--swarm N`: a file under many seeds with faults, where only what always holds is expected, and that everything drains.

use std::sync::Arc;
use std::time::Instant;

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::engine::Engine;
use crate::platform::time::Span;
use crate::project::faults::{FaultKind, Faults, Rule};
use crate::project::testfile::TestFile;

use super::check::{self, Finding};
use super::run::{Asked, Ended, Told, failed, open, remember};
use super::stage::{SEED, Setting, Stage};
use super::vars::Vars;

/// Probabilities from which a run's faults are drawn: most kinds do not happen in most runs, so that each shows by itself too.
const PROBABILITIES: [f64; 6] = [0.0, 0.0, 0.0, 0.02, 0.1, 0.4];
/// Longest delay that is drawn.
const DELAY_MAX_MS: u64 = 5_000;

/// Runs a file under so many seeds, up to the first that breaks something.
pub async fn file(file: Arc<TestFile>, asked: &Asked, runs: u64, engine: &Engine) -> Ended {
    let begun = Instant::now();
    let first = asked.seed.or(file.seed).unwrap_or(SEED);
    let mut ended = Ended::new(file.clone(), first);
    ended.swarm = true;
    for run in 0..runs {
        ended.seed = first.wrapping_add(run);
        let faults = faults(&file, ended.seed);
        let setting = Setting {
            seed: ended.seed,
            faults: &faults,
            record: false,
            engine,
        };
        if let Err(told) = play(&file, asked, setting, &mut ended).await {
            ended.findings.push(told);
        }
        if !ended.findings.is_empty() {
            break;
        }
    }
    ended.took = begun.elapsed();
    ended
}

/// Those of the file, and others that the seed brings.
fn faults(file: &TestFile, seed: u64) -> Faults {
    let mut rng = ChaCha12Rng::seed_from_u64(seed ^ 0x7377_6172_6d00_0001);
    let mut rules = file.faults.rules.clone();
    for kind in FaultKind::ALL {
        let probability = PROBABILITIES[(rng.next_u64() % PROBABILITIES.len() as u64) as usize];
        let by = Span::from_millis(1 + rng.next_u64() % DELAY_MAX_MS);
        if probability > 0.0 {
            rules.push(Rule {
                kind,
                function: None,
                probability,
                // When an instance is lost is drawn over its whole run.
                by: matches!(kind, FaultKind::Delay | FaultKind::Reorder).then_some(by),
            });
        }
    }
    Faults {
        seed: Some(file.faults.seed.unwrap_or(0) ^ seed),
        rules,
    }
}

async fn play(file: &TestFile, asked: &Asked, setting: Setting<'_>, ended: &mut Ended) -> Result<(), Told> {
    let stage = open(file, asked, setting).await?;
    let played = steps(file, &stage, ended).await;
    let remembered = match ended.findings.is_empty() && played.is_ok() {
        true => Ok(()),
        false => remember(&stage, ended).await,
    };
    stage.close().await;
    played.and(remembered)
}

async fn steps(file: &TestFile, stage: &Stage, ended: &mut Ended) -> Result<(), Told> {
    let mut vars = Vars::default();
    for (at, step) in file.steps.iter().enumerate() {
        let here = |failure| failed(Some(at), &step.act.span, &failure);
        if let Some(answer) = stage.act(&vars.act(&step.act.value)).await.map_err(here)? {
            for (name, path) in &step.save {
                // A request that failed on purpose has no such part.
                let _ = vars.save(&name.value, path, &answer);
            }
        }
        always(file, stage, &vars, Some(at), ended).await?;
        if !ended.findings.is_empty() {
            return Ok(());
        }
    }
    let left = stage
        .drain(&file.always)
        .await
        .map_err(|failure| failed(None, &(0..0), &failure))?;
    let told = |text| Told {
        step: None,
        finding: Finding::new(&(0..0), text),
    };
    ended.findings.extend(left.into_iter().map(told));
    always(file, stage, &vars, None, ended).await
}

async fn always(
    file: &TestFile,
    stage: &Stage,
    vars: &Vars,
    step: Option<usize>,
    ended: &mut Ended,
) -> Result<(), Told> {
    if !file.always.written {
        return Ok(());
    }
    let facts = stage.facts(&[&file.always]).await;
    let facts = facts.map_err(|failure| failed(step, &(0..0), &failure))?;
    let findings = check::state(&file.always, &facts, vars);
    ended
        .findings
        .extend(findings.into_iter().map(|finding| Told { step, finding }));
    Ok(())
}
