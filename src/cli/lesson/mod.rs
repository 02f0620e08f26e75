//! `emu lesson`: simulations with a text around them, in English and Portuguese. The figures in a text are those of a run of its
//! own commands, made when it is shown; a test holds the texts in `examples/lessons` to them.

mod catalog;
mod chart;
mod page;
mod terminal;
#[cfg(test)]
mod tests;
mod value;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use super::failure::{Failure, Outcome};
use super::{Global, output};
use crate::project::diagnostic::nearest;
use crate::report::html;
use crate::report::simulation::Simulation;
use crate::report::style::{Style, Tone};
use catalog::{LESSONS, Lesson};

/// Lessons on serverless computing: a question, an experiment, its figures
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Which one; without a name they are listed
    pub name: Option<String>,

    /// The language of the text
    #[arg(long, value_enum, default_value_t = Language::En)]
    pub lang: Language,

    /// Write the lesson's files into this folder, to change them and run them again
    #[arg(long, value_name = "DIR", requires = "name")]
    pub write: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English
    En,
    /// Portuguese, as in Brazil
    Pt,
}

/// # Errors
/// When there is no such lesson, or when stdout or a file cannot be written.
pub fn run(args: &Args, global: &Global) -> Outcome {
    let style = global.data_style();
    let Some(name) = &args.name else {
        output::data(&list(args.lang, &style))?;
        return Ok(ExitCode::SUCCESS);
    };
    let lesson = find(name)?;
    if let Some(folder) = &args.write {
        write(lesson, folder, args.lang)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (filled, _) = filled(lesson, args.lang)?;
    let mut shown = terminal::show(&filled, &style);
    if !lesson.files.is_empty() {
        shown.push_str(&format!("\n{}\n", more(lesson, args.lang, &style)));
    }
    output::data(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// The text, with figures of runs made now, and the runs.
fn filled(lesson: &Lesson, lang: Language) -> Result<(String, Vec<Simulation>), Failure> {
    let text = lesson.text(lang);
    let runs = page::run(lesson, text)?;
    let filled = page::fill(text, &runs, lang, page::Marks::Dropped)
        .map_err(|fault| Failure::new(format!("lesson {}: {fault}", lesson.name)))?;
    Ok((filled, runs))
}

fn find(name: &str) -> Result<&'static Lesson, Failure> {
    let found = LESSONS.iter().find(|lesson| lesson.name == name);
    found.ok_or_else(|| {
        let failure = Failure::usage(format!("there is no lesson `{name}`"));
        match nearest(name, LESSONS.iter().map(|lesson| lesson.name)) {
            Some(near) => failure.remedy(format!("did you mean `{near}`?")),
            None => failure.remedy("`emu lesson` lists them"),
        }
    })
}

fn list(lang: Language, style: &Style) -> String {
    let mut out = String::new();
    for lesson in LESSONS {
        let name = style.paint(Tone::Strong, &format!("{:<14}", lesson.name));
        out.push_str(&format!("{name} {}\n", lesson.title(lang)));
    }
    let hint = match lang {
        Language::En => "emu lesson NAME shows one; --write DIR gives you its files; --lang pt: em português",
        Language::Pt => "emu lesson NOME --lang pt mostra uma aula; --write PASTA grava os arquivos dela",
    };
    out.push_str(&format!("\n{}\n", style.paint(Tone::Dim, hint)));
    out
}

fn more(lesson: &Lesson, lang: Language, style: &Style) -> String {
    let (text, folder) = match lang {
        Language::En => ("To change the experiment, take its files:", "lesson"),
        Language::Pt => ("Para mudar o experimento, grave os arquivos:", "aula"),
    };
    let flag = match lang {
        Language::En => "",
        Language::Pt => " --lang pt",
    };
    let command = format!("emu lesson {}{flag} --write {folder} && cd {folder}", lesson.name);
    format!("{text}\n\n    {}", style.paint(Tone::Info, &command))
}

/// The files, the text, and a report with plots for each of its runs. Files that are there with another content stay as they are,
/// and are named.
fn write(lesson: &Lesson, folder: &Path, lang: Language) -> Result<(), Failure> {
    let (filled, runs) = filled(lesson, lang)?;
    let text = match lang {
        Language::En => ("lesson.md", filled.as_str()),
        Language::Pt => ("licao.md", filled.as_str()),
    };
    let reports = runs.iter().zip(1..).map(|(run, at)| {
        let page = html::page(run).map_err(|fault| Failure::new(format!("a report cannot be made: {fault}")))?;
        Ok((format!("report-{at}.html"), page))
    });
    let reports: Vec<(String, String)> = reports.collect::<Result<_, Failure>>()?;
    let files: Vec<(PathBuf, &str)> = lesson
        .files
        .iter()
        .copied()
        .chain([text])
        .chain(reports.iter().map(|(name, page)| (name.as_str(), page.as_str())))
        .map(|(name, text)| (folder.join(name), text))
        .collect();
    for (path, text) in &files {
        if fs::read_to_string(path).is_ok_and(|old| old != *text) || path.is_dir() {
            return Err(
                Failure::new(format!("{} is there already, with another content", path.display()))
                    .remedy("name another folder; nothing was written"),
            );
        }
    }
    for (path, text) in &files {
        let fault = |error| Failure::new(format!("{} cannot be written: {error}", path.display()));
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(fault)?;
        fs::write(path, text).map_err(fault)?;
        output::say(&format!("{}\n", path.display()));
    }
    Ok(())
}
