//! Charts of text: a figure over time as columns, or over the values of a sweep as bars.

use super::Language;
use super::value::{interval, localised, of_run, point, side};
use crate::report::number;
use crate::report::simulation::{FIGURES, Piece, Simulation};

const COLUMNS: usize = 60;
const ROWS: usize = 8;
const BAR: usize = 40;
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What can be shown over time: its name in a text, and what it is called in English and in Portuguese.
type Series = (&'static str, &'static str, &'static str, fn(&Piece) -> f64);

const SERIES: [Series; 5] = [
    ("requests", "requests", "requisições", |piece| piece.requests),
    ("cold", "cold starts", "partidas a frio", |piece| piece.cold),
    ("refused", "requests refused", "requisições recusadas", |piece| {
        piece.refused
    }),
    ("instances", "instances", "instâncias", |piece| piece.instances),
    ("running", "requests running", "requisições em execução", |piece| {
        piece.running
    }),
];

/// `1:10m:api:instances over time`, or `1:*:api:cold_share`.
///
/// # Errors
/// What names no run, point, side or figure.
pub fn draw(what: &str, runs: &[Simulation], lang: Language) -> Result<String, String> {
    let fault = || format!("the chart `{what}` names nothing");
    match what.strip_suffix(" over time") {
        Some(path) => {
            let (run, path) = of_run(path, runs)?;
            let [settings @ .., name, series] = path.as_slice() else {
                return Err(fault());
            };
            let side = point(run, settings)
                .and_then(|point| side(point, name))
                .ok_or_else(fault)?;
            let (_, en, pt, of) = SERIES.iter().find(|(known, ..)| known == series).ok_or_else(fault)?;
            let values: Vec<f64> = side.over_time.iter().map(of).collect();
            let title = match lang {
                Language::En => format!("{name}: {en} over time"),
                Language::Pt => format!("{name}: {pt} ao longo do tempo"),
            };
            Ok(over_time(&title, &values, run.horizon_s))
        }
        None => {
            let (run, path) = of_run(what, runs)?;
            let ["*", name, figure] = path.as_slice() else {
                return Err(fault());
            };
            bars(run, name, figure, lang).ok_or_else(fault)
        }
    }
}

/// Each column is the highest of the values that fall into it, so that nothing short is lost.
fn over_time(title: &str, values: &[f64], horizon_s: f64) -> String {
    let width = values.len().div_ceil(COLUMNS).max(1);
    let columns: Vec<f64> = values
        .chunks(width)
        .map(|chunk| chunk.iter().copied().fold(0.0, f64::max))
        .collect();
    let most = columns.iter().copied().fold(0.0, f64::max);
    let label = axis(most);
    let mut out = format!("{title}\n");
    for row in (0..ROWS).rev() {
        let cell = |value: &f64| {
            let eighths = (value / most.max(f64::MIN_POSITIVE) * (ROWS * 8) as f64).ceil() as usize;
            BLOCKS[eighths.saturating_sub(row * 8).min(8)]
        };
        let line: String = columns.iter().map(cell).collect();
        let label = match row {
            0 => "0",
            row if row == ROWS - 1 => &label,
            _ => "",
        };
        out.push_str(format!("{label:>8} ┤{line}").trim_end());
        out.push('\n');
    }
    let end = number::long(horizon_s * 1e3);
    out.push_str(&format!(
        "{:>11}{end:>width$}\n",
        "0",
        width = columns.len().saturating_sub(1)
    ));
    out
}

fn axis(most: f64) -> String {
    if most >= 9.95 {
        number::count(most.round() as u64)
    } else {
        format!("{most:.1}")
    }
}

fn bars(run: &Simulation, name: &str, figure: &str, lang: Language) -> Option<String> {
    let known = FIGURES.iter().find(|known| known.name == figure)?;
    let rows: Option<Vec<(String, f64)>> = run
        .points
        .iter()
        .map(|point| {
            let label: Vec<&str> = point.settings.iter().map(|(_, value)| value.as_str()).collect();
            Some((label.join(" "), interval(point, name, figure)?.mean))
        })
        .collect();
    let rows = rows?;
    let most = rows.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let wide = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    let mut out = format!("{name}: {}\n", known.words);
    for (label, value) in rows {
        let eighths = (value / most.max(f64::MIN_POSITIVE) * (BAR * 8) as f64).round() as usize;
        let mut bar = "█".repeat(eighths / 8);
        if !eighths.is_multiple_of(8) {
            bar.push(BLOCKS_ACROSS[eighths % 8]);
        }
        let shown = localised(&known.unit.show(value), lang);
        out.push_str(&format!("{label:>wide$} {bar} {shown}\n"));
    }
    Some(out)
}

const BLOCKS_ACROSS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
