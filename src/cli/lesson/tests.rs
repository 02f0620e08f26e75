//! Every lesson runs, its figures are those that its texts hold, and both languages tell of the same experiment.
//! `EMU_UPDATE_GOLDENS=1` writes the figures anew; read the difference before you keep it: the words around them may no longer hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::catalog::{LESSONS, Lesson};
use super::page::{self, Marks};
use super::{Language, list, terminal};
use crate::report::style::Style;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/lessons")
}

fn hold(lesson: &Lesson) -> Vec<String> {
    let mut stale = Vec::new();
    assert_eq!(
        page::commands(lesson.en),
        page::commands(lesson.pt),
        "{}: both languages run the same",
        lesson.name
    );
    let runs = page::run(lesson, lesson.en).unwrap_or_else(|failure| panic!("{failure:?}"));
    for (lang, file) in [(Language::En, "lesson.md"), (Language::Pt, "licao.md")] {
        let text = lesson.text(lang);
        let filled = page::fill(text, &runs, lang, Marks::Kept)
            .unwrap_or_else(|fault| panic!("{}/{file}: {fault}", lesson.name));
        let path = folder().join(lesson.name).join(file);
        if std::env::var_os("EMU_UPDATE_GOLDENS").is_some() {
            std::fs::write(&path, &filled).expect("a text of the repository");
        } else if filled != text {
            stale.push(format!("{}/{file}", lesson.name));
        }
    }
    stale
}

#[test]
fn texts_hold_the_figures_of_their_runs() {
    let stale: Vec<String> = LESSONS.iter().flat_map(hold).collect();
    assert!(
        stale.is_empty(),
        "other figures came; EMU_UPDATE_GOLDENS=1 writes them: {stale:?}"
    );
}

#[test]
fn every_file_of_the_folder_is_compiled_in() {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder()).expect("below the lessons");
                found.insert(name.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.remove("README.md");
    let known: BTreeSet<String> = LESSONS
        .iter()
        .flat_map(|lesson| {
            let files = lesson.files.iter().map(|(name, _)| *name);
            files
                .chain(["lesson.md", "licao.md"])
                .map(|file| format!("{}/{file}", lesson.name))
        })
        .collect();
    assert_eq!(found, known);
}

#[test]
fn the_list_has_every_lesson_in_both_languages() {
    for lang in [Language::En, Language::Pt] {
        let shown = list(lang, &Style::default());
        for lesson in LESSONS {
            assert!(!lesson.title(lang).is_empty(), "{}", lesson.name);
            assert!(
                shown.contains(lesson.name) && shown.contains(lesson.title(lang)),
                "{shown}"
            );
        }
    }
}

#[test]
fn figures_are_told_from_words() {
    let text = "# T\n\n```sh\nemu simulate a.sim.toml --seed 4 # why\n```\n\nIt costs {{1:api:cost_month_dollars}}, or \
                <!--{{1:web:cost_month_dollars / 1:api:cost_month_dollars}}-->old<!----> of it.\n\n```text 1:api:instances over time\nold\n```\n";
    let lesson = Lesson {
        name: "a",
        en: "",
        pt: "",
        files: &[(
            "a.sim.toml",
            "horizon = \"10m\"\nreplications = 2\n[workload]\npattern = \"uniform\"\nrate = \"10/s\"\n[functions.api]\n\
             service = \"1s\"\ncold_start = \"none\"\nmemory = \"1GB\"\n[servers.web]\nhourly = \"$1\"\nworkers = 20\n",
        )],
    };
    let runs = page::run(&lesson, text).expect("a run");
    assert_eq!((runs.len(), runs[0].seed), (1, 4));
    // 5,989 of 6,000 ended in the window: a month has 26.23 million requests and GB-s. Beyond the free tier these are 25.23
    // million at 0.0000002 and 25.83 million at 0.0000166667.
    let english = page::fill(text, &runs, Language::En, Marks::Dropped).expect("figures");
    assert!(english.contains("It costs $435.58"), "{english}");
    assert!(english.contains(", or 1.7 of it."), "{english}");
    assert!(
        english.contains("api: instances over time\n      11 ┤████"),
        "{english}"
    );
    let kept = page::fill(text, &runs, Language::Pt, Marks::Kept).expect("figures");
    assert!(kept.contains("<!--{{1:api:cost_month_dollars}}-->US$ 435,58"), "{kept}");
    assert_eq!(
        page::fill(&kept, &runs, Language::Pt, Marks::Kept).expect("figures"),
        kept
    );
    for wrong in [
        "{{2:api:requests}}",
        "{{1:api:nothing}}",
        "{{1:api:requests /}}",
        "{{1",
        "```text 9\n```",
        "```text 1\n",
    ] {
        assert!(page::fill(wrong, &runs, Language::En, Marks::Kept).is_err(), "{wrong}");
    }
}

#[test]
fn a_terminal_gets_lines_that_fit() {
    let long = format!("# Title\n\n{}\n- one {}\n", "word ".repeat(60), "and ".repeat(40));
    let shown = terminal::show(&long, &Style::default());
    assert!(shown.lines().all(|line| line.chars().count() <= 92), "{shown}");
    assert!(
        shown.starts_with("Title\n\nword word") && shown.contains("\n- one and") && shown.contains("\n  and"),
        "{shown}"
    );
}
