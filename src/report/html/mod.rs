//! A simulation as one HTML file: tables and plots, light and dark, nothing from elsewhere.

mod plot;

use std::collections::BTreeMap;

use super::number;
use super::simulation::{
    FIGURES, Figure, Interval, Point, SHOWN_MAX, Side, Simulation, Unit, by_side, most_called, shown,
};
use plot::{FLEET, Line, Series, TRAFFIC, WORKERS};

const STYLE: &str = include_str!("style.css");

/// Figures that a sweep is plotted for.
const SWEPT: [&str; 7] = [
    "cost_month_dollars",
    "latency_p50_ms",
    "latency_p99_ms",
    "cold_share",
    "refused_share",
    "instances_mean",
    "utilisation",
];

/// The whole file.
///
/// # Errors
/// When a plot cannot be drawn, with what the plotting library says.
pub fn page(simulation: &Simulation) -> Result<String, String> {
    let name = escaped(&simulation.name);
    let mut body = format!(
        "<h1>{name}</h1>\n<p class=\"facts\">{}</p>\n",
        escaped(&simulation.facts())
    );
    match simulation.points.as_slice() {
        [only] if only.settings.is_empty() => single(&mut body, only, simulation.horizon_s)?,
        points => sweep(&mut body, points)?,
    }
    body.push_str("<h2>What the figures rest on</h2>\n<ul>\n");
    for assumption in &simulation.assumptions {
        body.push_str(&format!("<li>{}</li>\n", escaped(assumption)));
    }
    body.push_str("</ul>\n");
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>{name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    ))
}

fn single(body: &mut String, point: &Point, horizon_s: f64) -> Result<(), String> {
    if let Some(all) = &point.all {
        side(body, all, &FLEET, horizon_s)?;
    }
    if point.functions.len() > SHOWN_MAX {
        let all = number::count(point.functions.len() as u64);
        body.push_str(&format!(
            "<p class=\"facts\">Of {all} functions the ten most called:</p>\n"
        ));
    }
    let functions = most_called(&point.functions).into_iter().map(|side| (side, FLEET));
    let servers = point.servers.iter().map(|side| (side, WORKERS));
    for (one, fleet) in functions.chain(servers) {
        side(body, one, &fleet, horizon_s)?;
    }
    Ok(())
}

fn side(body: &mut String, side: &Side, fleet: &[Series], horizon_s: f64) -> Result<(), String> {
    body.push_str(&format!(
        "<section>\n<h2>{}</h2>\n<div class=\"side\">\n",
        escaped(&side.name)
    ));
    figures(body, &side.figures);
    body.push_str("<div class=\"plots\">\n");
    body.push_str(&plot::over_time(side, fleet, horizon_s)?);
    body.push_str(&plot::over_time(side, &TRAFFIC, horizon_s)?);
    body.push_str("</div>\n</div>\n</section>\n");
    Ok(())
}

/// One figure a line, with its interval.
fn figures(body: &mut String, figures: &BTreeMap<&'static str, Interval>) {
    body.push_str("<table>\n<tr><th></th><th class=\"n\">mean</th><th class=\"n\">95% interval</th></tr>\n");
    for figure in FIGURES {
        let Some(interval) = figures.get(figure.name) else {
            continue;
        };
        let range = interval.range(figure.unit).unwrap_or_default();
        body.push_str(&format!(
            "<tr><th>{}</th><td class=\"n\">{}</td><td class=\"n dim\">{range}</td></tr>\n",
            figure.words,
            figure.unit.show(interval.mean)
        ));
    }
    body.push_str("</table>\n");
}

/// A table for each side, and plots in which the sides can be compared.
fn sweep(body: &mut String, points: &[Point]) -> Result<(), String> {
    let Some(first) = points.first() else { return Ok(()) };
    let by_side = by_side(points);
    body.push_str("<div class=\"grid\">\n");
    for figure in FIGURES.iter().filter(|figure| SWEPT.contains(&figure.name)) {
        let lines: Vec<Line> = by_side.iter().flat_map(|side| lines(figure, side)).collect();
        let title = first.settings.first().map_or("", |(key, _)| key.as_str());
        body.push_str(&plot::swept(figure, &lines, title)?);
    }
    body.push_str("</div>\n");
    for side in &by_side {
        table(body, side);
    }
    Ok(())
}

/// A figure of one side over the values of the first swept key; a line for each combination of the others.
fn lines(figure: &Figure, points: &[(&Point, &Side)]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (point, side) in points {
        let Some(((_, value), others)) = point.settings.split_first() else {
            continue;
        };
        let mut words = vec![side.name.clone()];
        words.extend(others.iter().map(|(key, value)| format!("{key} {value}")));
        let name = words.join(", ");
        let at = lines.iter().position(|line| line.name == name).unwrap_or_else(|| {
            lines.push(Line {
                name,
                points: Vec::new(),
            });
            lines.len() - 1
        });
        let interval = side.figures.get(figure.name).copied();
        lines[at].points.push((value.clone(), interval));
    }
    lines.retain(|line| line.points.iter().any(|(_, interval)| interval.is_some()));
    lines
}

/// One point a line; intervals as what may be added or taken away.
fn table(body: &mut String, points: &[(&Point, &Side)]) {
    let Some((first, side)) = points.first() else { return };
    let shown = shown(side);
    body.push_str(&format!("<section>\n<h2>{}</h2>\n<table>\n<tr>", escaped(&side.name)));
    for (key, _) in &first.settings {
        body.push_str(&format!("<th>{}</th>", escaped(key)));
    }
    for figure in &shown {
        body.push_str(&format!("<th class=\"n\">{}</th>", figure.heading));
    }
    body.push_str("</tr>\n");
    for (point, side) in points {
        body.push_str("<tr>");
        for (_, value) in &point.settings {
            body.push_str(&format!("<th>{}</th>", escaped(value)));
        }
        for figure in &shown {
            let cell = side
                .figures
                .get(figure.name)
                .map_or_else(|| "-".to_owned(), |of| cell(figure, of));
            body.push_str(&format!("<td class=\"n\">{cell}</td>"));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</table>\n</section>\n");
}

fn cell(figure: &Figure, interval: &Interval) -> String {
    let mean = figure.unit.show(interval.mean);
    match interval.half_width.filter(|half| *half > 0.0) {
        Some(half) if figure.unit == Unit::Count => {
            format!(
                "{mean} <span class=\"dim\">± {}</span>",
                number::count(half.ceil() as u64)
            )
        }
        Some(half) => format!("{mean} <span class=\"dim\">± {}</span>", figure.unit.show(half)),
        None => mean,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
