//! What the README and the examples' READMEs tell users to type exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::harness::{Project, emu};

fn texts() -> Vec<(PathBuf, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("examples")).expect("examples") {
        files.push(entry.expect("an example").path().join("README.md"));
    }
    files
        .into_iter()
        .map(|file| {
            (
                file.clone(),
                fs::read_to_string(&file).expect("every example has a README"),
            )
        })
        .collect()
}

/// The contents of the fenced blocks in this language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect()
}

fn help(args: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let run = emu(folder.path()).args(args).arg("--help").output().expect("run emu");
    assert!(run.status.success(), "emu {} --help: {run:?}", args.join(" "));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

#[test]
fn every_command_and_flag_that_is_shown_exists() {
    let mut seen = 0;
    for (file, text) in texts() {
        for line in blocks(&text, "sh").into_iter().flat_map(str::lines) {
            let Some(line) = line.trim().strip_prefix("emu ") else {
                continue;
            };
            let words: Vec<&str> = line.split(" #").next().unwrap_or_default().split_whitespace().collect();
            // Flags of `emu kv put` are told by its own help.
            let deep = words
                .get(1)
                .is_some_and(|word| word.bytes().all(|b| b.is_ascii_lowercase()));
            let help = help(&words[..if deep { 2 } else { 1 }]);
            for flag in words
                .iter()
                .take_while(|word| **word != "--")
                .filter(|word| word.starts_with("--"))
            {
                let flag = flag.split('=').next().unwrap_or_default();
                assert!(
                    help.contains(flag),
                    "{}: `emu {line}`: no {flag} in\n{help}",
                    file.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "found only {seen} commands");
}

#[test]
fn every_command_is_in_the_readme() {
    let readme = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    let help = help(&[]);
    let (listed, _) = help
        .split_once("\nEverywhere:\n")
        .expect("the commands, then the options");
    let commands: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains("dev"), "{help}");
    for command in commands {
        assert!(
            readme.contains(&format!("`emu {command}")),
            "README.md does not tell of `emu {command}`"
        );
    }
}

#[test]
fn the_manifest_that_is_shown_is_valid() {
    let readme = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    let manifests = blocks(&readme, "toml");
    assert!(!manifests.is_empty());
    for manifest in manifests {
        if manifest.starts_with("# traced.sim.toml") {
            let project = Project::new(&[("traced.sim.toml", &manifest.replace("[\"", "[\"synthetic."))]);
            assert!(
                project
                    .emu(["trace", ".", "--functions", "30", "--requests", "20000"])
                    .status
                    .success()
            );
            let run = project.emu(["simulate", "--replications", "1", "--set", "horizon=1h"]);
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
            assert!(String::from_utf8_lossy(&run.stdout).contains("of 30 functions only the most called"));
            continue;
        }
        if manifest.starts_with("# shop.sim.toml") {
            let project = Project::new(&[("shop.sim.toml", manifest)]);
            let run = project.emu(["simulate", "--replications", "1", "--set", "horizon=1m"]);
            let said = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success(), "{manifest}\n{said}");
            continue;
        }
        if manifest.starts_with("# orders.emu.toml") {
            let project = Project::example("orders");
            project.remove("declined.emu.toml");
            project.write("orders.emu.toml", manifest);
            project.edit("emu.toml", "FAILURE_RATE = \"0.15\"", "FAILURE_RATE = \"0\"");
            let run = project.emu(["test"]);
            let said = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success(), "{manifest}\n{said}");
            continue;
        }
        let handler = "export default { fetch() {}, queue() {}, scheduled() {} };";
        let files = [
            ("emu.toml", manifest),
            ("functions/api.ts", handler),
            ("functions/billing.ts", handler),
            ("functions/report.ts", handler),
        ];
        let run = Project::new(&files).emu(["validate"]);
        assert!(
            run.status.success(),
            "{manifest}\n{}",
            String::from_utf8_lossy(&run.stderr)
        );
    }
}
