//! What a simulation came to: figures with confidence intervals, and their renderings as a table, JSON and CSV.

use std::collections::BTreeMap;

use serde::Serialize;

use super::number;
use super::table::Table;

/// One run of `emu simulate`.
#[derive(Clone, Debug, Serialize)]
pub struct Simulation {
    pub name: String,
    pub provider: String,
    pub seed: u64,
    pub replications: u32,
    pub horizon_s: f64,
    pub warmup_s: f64,
    /// One, or one for each combination of what is swept.
    pub points: Vec<Point>,
    /// What the figures rest on, in sentences.
    pub assumptions: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// What was swept, with this point's values; empty without a sweep.
    pub settings: Vec<(String, String)>,
    pub functions: Vec<Side>,
    pub servers: Vec<Side>,
    /// All functions together, where there are several: then of many the single ones are not told over time.
    pub all: Option<Side>,
}

/// A function, or a group of servers.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    pub name: String,
    /// By the names of [`FIGURES`]; those that it has.
    pub figures: BTreeMap<&'static str, Interval>,
    /// Means over replications, in pieces of equal length.
    pub over_time: Vec<Piece>,
}

/// A mean over replications.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub mean: f64,
    /// Half the width of the 95% confidence interval; `None`: a single replication says nothing of it.
    pub half_width: Option<f64>,
    /// Of single replications.
    pub deviation: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Piece {
    /// Its beginning, since the end of the warm-up.
    pub at_s: f64,
    pub requests: f64,
    pub cold: f64,
    pub refused: f64,
    pub instances: f64,
    pub running: f64,
    /// The most of any replication; 0 of functions that were simulated one by one.
    pub instances_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    /// With decimals.
    Mean,
    Share,
    Millis,
    Seconds,
    Dollars,
}

/// A figure of a function or of servers.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// In JSON and CSV; its unit stands last.
    pub name: &'static str,
    /// In a table that has one figure a line.
    pub words: &'static str,
    /// As a heading, in a table that has one point a line; empty: not shown there.
    pub heading: &'static str,
    pub unit: Unit,
}

const fn figure(name: &'static str, words: &'static str, heading: &'static str, unit: Unit) -> Figure {
    Figure {
        name,
        words,
        heading,
        unit,
    }
}

/// Every figure, in the order of tables.
pub const FIGURES: [Figure; 17] = [
    figure("requests", "requests", "requests", Unit::Count),
    figure("refused_share", "refused", "refused", Unit::Share),
    figure("failed_share", "lost with their server", "", Unit::Share),
    figure("cold_share", "cold", "cold", Unit::Share),
    figure("latency_mean_ms", "latency, mean", "", Unit::Millis),
    figure("latency_p50_ms", "latency, p50", "p50", Unit::Millis),
    figure("latency_p90_ms", "latency, p90", "", Unit::Millis),
    figure("latency_p99_ms", "latency, p99", "p99", Unit::Millis),
    figure("instances_mean", "instances, mean", "instances", Unit::Mean),
    figure("instances_max", "instances, most", "", Unit::Mean),
    figure("running_mean", "of them running", "", Unit::Mean),
    figure("workers_mean", "workers", "workers", Unit::Mean),
    figure("utilisation", "utilisation", "busy", Unit::Share),
    figure("life_s", "life of an instance", "", Unit::Seconds),
    figure("cost_dollars", "cost at list price", "", Unit::Dollars),
    figure("cost_month_dollars", "cost of such a month", "a month", Unit::Dollars),
    figure("cost_million_dollars", "cost of a million", "", Unit::Dollars),
];

impl Unit {
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Count => number::count(value.round().max(0.0) as u64),
            Unit::Mean if value >= 999.5 => number::count(value.round() as u64),
            Unit::Mean if value >= 99.95 => format!("{value:.1}"),
            Unit::Mean => format!("{value:.3}"),
            Unit::Share if value > 0.0 && value < 0.000_1 => format!("{:.5}%", value * 100.0),
            Unit::Share if value > 0.0 && value < 0.01 => format!("{:.3}%", value * 100.0),
            Unit::Share => number::percent(value),
            Unit::Millis => number::millis(value),
            Unit::Seconds => number::millis(value * 1e3),
            Unit::Dollars => number::dollars(value),
        }
    }
}

impl Interval {
    /// `899 to 901`, from nothing on; `None`: a single replication has no interval.
    pub fn range(&self, unit: Unit) -> Option<String> {
        let half = self.half_width?;
        let low = (self.mean - half).max(0.0);
        Some(format!("{} to {}", unit.show(low), unit.show(self.mean + half)))
    }
}

impl Simulation {
    /// `10 replications of 1 d after 1 h of warm-up, seed 1, AWS Lambda`
    pub fn facts(&self) -> String {
        let warmup = match self.warmup_s {
            0.0 => String::new(),
            warmup => format!(" after {} of warm-up", number::long(warmup * 1e3)),
        };
        format!(
            "{} of {}{warmup}, seed {}, {}",
            number::plural(u64::from(self.replications), "replication", "replications"),
            number::long(self.horizon_s * 1e3),
            self.seed,
            self.provider
        )
    }

    /// Tables for a terminal, each line ended.
    pub fn text(&self) -> String {
        let mut out = format!("{}: {}\n", self.name, self.facts());
        match self.points.as_slice() {
            [only] if only.settings.is_empty() => {
                for side in most_called(&only.functions).into_iter().chain(&only.servers) {
                    out.push_str(&format!("\n{}\n\n{}", side.name, lines(&side.figures)));
                }
                if let Some(all) = &only.all {
                    out.push_str(&format!("\n{}\n\n{}", all.name, lines(&all.figures)));
                }
            }
            points => out.push_str(&sweep(points)),
        }
        let functions = self.points.first().map_or(0, |point| point.functions.len());
        if functions > SHOWN_MAX {
            let all = number::count(functions as u64);
            out.push_str(&format!(
                "\n- of {all} functions only the most called are shown; --json and --csv hold all\n"
            ));
        }
        if !self.assumptions.is_empty() {
            out.push('\n');
            for assumption in &self.assumptions {
                out.push_str(&format!("- {assumption}\n"));
            }
        }
        out
    }

    /// One line for each point and each of its sides; empty cells where a side has no such figure.
    ///
    /// # Errors
    /// When a line cannot be built, which memory alone could cause.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let settings = self.points.first().map_or(&[][..], |point| &point.settings);
        let keys = settings.iter().map(|(key, _)| key.clone());
        let mut heading: Vec<String> = keys.chain(["side".to_owned(), "name".to_owned()]).collect();
        for figure in FIGURES {
            heading.push(figure.name.to_owned());
            heading.push(format!("{}_half_width", figure.name));
        }
        writer.write_record(&heading)?;
        for point in &self.points {
            let sides = point.functions.iter().map(|side| ("function", side));
            for (kind, side) in sides.chain(point.servers.iter().map(|side| ("servers", side))) {
                let values = point.settings.iter().map(|(_, value)| value.clone());
                let mut row: Vec<String> = values.chain([kind.to_owned(), side.name.clone()]).collect();
                for figure in FIGURES {
                    let interval = side.figures.get(figure.name);
                    row.push(interval.map_or_else(String::new, |interval| interval.mean.to_string()));
                    let half = interval.and_then(|interval| interval.half_width);
                    row.push(half.map_or_else(String::new, |half| half.to_string()));
                }
                writer.write_record(&row)?;
            }
        }
        let bytes = writer.into_inner().map_err(|error| error.into_error())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The name of all functions together.
pub const ALL: &str = "all functions";

/// More functions than this are those of a trace.
pub const SHOWN_MAX: usize = 20;

/// All, or the ten that have the most requests.
pub fn most_called(functions: &[Side]) -> Vec<&Side> {
    let mut sides: Vec<&Side> = functions.iter().collect();
    if sides.len() > SHOWN_MAX {
        let requests = |side: &Side| side.figures.get("requests").map_or(0.0, |interval| interval.mean);
        sides.sort_by(|a, b| requests(b).total_cmp(&requests(a)));
        sides.truncate(10);
    }
    sides
}

/// One figure a line, with its interval.
fn lines(figures: &BTreeMap<&'static str, Interval>) -> String {
    let mut table = Table::new(&["", ">mean", ">95% interval"]);
    for figure in FIGURES {
        let Some(interval) = figures.get(figure.name) else {
            continue;
        };
        let range = interval.range(figure.unit).unwrap_or_else(|| "-".to_owned());
        table.row([figure.words.to_owned(), figure.unit.show(interval.mean), range]);
    }
    table.render()
}

/// The points of a sweep by side, functions first: of the many functions of a trace only what they come to together. No list is
/// empty.
pub fn by_side(points: &[Point]) -> Vec<Vec<(&Point, &Side)>> {
    let sides = points
        .first()
        .map_or(0, |first| shown_functions(first) + first.servers.len());
    let of_side = |at| {
        let of = |point| Some((point, side_of(point, at)?));
        points.iter().filter_map(of).collect()
    };
    (0..sides)
        .map(of_side)
        .filter(|points: &Vec<_>| !points.is_empty())
        .collect()
}

/// Figures of a side that are shown in a table with one point a line.
pub fn shown(side: &Side) -> Vec<&'static Figure> {
    let is_shown = |figure: &&Figure| !figure.heading.is_empty() && side.figures.contains_key(figure.name);
    FIGURES.iter().filter(is_shown).collect()
}

fn shown_functions(point: &Point) -> usize {
    match point.functions.len() {
        many if many > SHOWN_MAX => 1,
        few => few,
    }
}

fn side_of(point: &Point, at: usize) -> Option<&Side> {
    match at.checked_sub(shown_functions(point)) {
        Some(server) => point.servers.get(server),
        None if point.functions.len() > SHOWN_MAX => point.all.as_ref(),
        None => point.functions.get(at),
    }
}

/// One point a line, a table for each side.
fn sweep(points: &[Point]) -> String {
    let mut out = String::new();
    for points in by_side(points) {
        let Some((first, named)) = points.first() else { continue };
        let shown = shown(named);
        let mut headings: Vec<String> = first.settings.iter().map(|(key, _)| key.clone()).collect();
        headings.extend(shown.iter().map(|figure| format!(">{}", figure.heading)));
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        let mut table = Table::new(&headings);
        for (point, side) in &points {
            let values = point.settings.iter().map(|(_, value)| value.clone());
            let cells = shown.iter().map(|figure| cell(figure, side.figures.get(figure.name)));
            table.row(values.chain(cells));
        }
        out.push_str(&format!("\n{}\n\n{}", named.name, table.render()));
    }
    out
}

fn cell(figure: &Figure, interval: Option<&Interval>) -> String {
    let Some(interval) = interval else {
        return "-".to_owned();
    };
    figure.unit.show(interval.mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simulation(settings: &[&[(&str, &str)]]) -> Simulation {
        let interval = |mean, half_width| Interval {
            mean,
            half_width,
            deviation: half_width,
        };
        let side = Side {
            name: "api".to_owned(),
            figures: BTreeMap::from([
                ("requests", interval(900_123.0, Some(320.0))),
                ("cold_share", interval(0.001_339, Some(0.000_033))),
                ("cost_month_dollars", interval(0.0, None)),
            ]),
            over_time: Vec::new(),
        };
        let points = settings.iter().map(|settings| Point {
            settings: settings
                .iter()
                .map(|(key, value)| (String::from(*key), String::from(*value)))
                .collect(),
            functions: vec![side.clone()],
            servers: Vec::new(),
            all: None,
        });
        Simulation {
            name: "one.sim.toml".to_owned(),
            provider: "AWS Lambda".to_owned(),
            seed: 1,
            replications: 10,
            horizon_s: 86_400.0,
            warmup_s: 0.0,
            points: points.collect(),
            assumptions: Vec::new(),
        }
    }

    #[test]
    fn one_point_shows_every_figure_with_its_interval() {
        let expect = "\
one.sim.toml: 10 replications of 1 d, seed 1, AWS Lambda

api

                         mean       95% interval
requests              900,123  899,803 to 900,443
cold                   0.134%   0.131% to 0.137%
cost of such a month       $0                  -
";
        let text = simulation(&[&[]]).text();
        assert_eq!(text.replace(' ', ""), expect.replace(' ', ""), "{text}");
    }

    #[test]
    fn a_sweep_shows_one_point_a_line() {
        let simulation = simulation(&[&[("keep_alive", "1m")], &[("keep_alive", "10m")]]);
        let text = simulation.text();
        assert!(
            text.contains("keep_alive  requests    cold  a month\n1m           900,123  0.134%       $0\n"),
            "{text}"
        );
        let csv = simulation.csv().expect("a table in memory");
        assert!(
            csv.starts_with("keep_alive,side,name,requests,requests_half_width,"),
            "{csv}"
        );
        assert!(csv.contains("\n10m,function,api,900123,320,"), "{csv}");
    }
}
