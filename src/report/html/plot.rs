//! Plots as SVG: lines over time, and figures over what is swept. Colours are names for the style sheet, which says what they
//! are in the light and in the dark.

use std::error::Error;

use plotters::prelude::*;

use super::super::number;
use super::super::simulation::{Figure, Interval, Piece, Side, Unit};
use super::escaped;

/// Of lines, in their order; `style.css` knows each.
const COLORS: [RGBColor; 6] = [
    RGBColor(31, 111, 178),
    RGBColor(217, 119, 6),
    RGBColor(200, 30, 60),
    RGBColor(22, 128, 92),
    RGBColor(124, 77, 196),
    RGBColor(8, 131, 149),
];
const INK: RGBColor = RGBColor(90, 90, 90);
const GRID: RGBColor = RGBColor(222, 222, 222);

/// In units of the drawing: browsers scale it.
const OVER_TIME: (u32, u32) = (720, 230);
const SWEPT: (u32, u32) = (440, 250);

/// More values than this are no plot that one can read.
const VALUES_MAX: usize = 40;

/// A line over time: its name, and its value in a piece of time. Its colour goes by its place.
pub type Series = (&'static str, fn(&Piece) -> f64);

/// A line that is drawn.
type Shown<'a> = (&'a Series, RGBColor);

pub const FLEET: [Series; 2] = [
    ("instances", |piece| piece.instances),
    ("of them running", |piece| piece.running),
];
pub const WORKERS: [Series; 2] = [
    ("workers", |piece| piece.instances),
    ("of them busy", |piece| piece.running),
];
pub const TRAFFIC: [Series; 3] = [
    ("requests", |piece| piece.requests),
    ("cold", |piece| piece.cold),
    ("refused", |piece| piece.refused),
];

/// A figure over the values of what is swept.
pub struct Line {
    pub name: String,
    /// Each value, as it was written, with what came of it.
    pub points: Vec<(String, Option<Interval>)>,
}

type Drawn = Result<(), Box<dyn Error>>;

/// Lines over time; nothing where all of them are flat at zero.
///
/// # Errors
/// When it cannot be drawn, with what the plotting library says.
pub fn over_time(side: &Side, series: &[Series], horizon_s: f64) -> Result<String, String> {
    let most = |of: fn(&Piece) -> f64| side.over_time.iter().map(of).fold(0.0, f64::max);
    let colored = series.iter().zip(COLORS);
    let shown: Vec<Shown<'_>> = colored.filter(|((_, of), _)| most(*of) > 0.0).collect();
    let top = shown.iter().map(|((_, of), _)| most(*of)).fold(0.0, f64::max);
    let [((title, _), _), ..] = shown.as_slice() else {
        return Ok(String::new());
    };
    if side.over_time.len() < 2 {
        return Ok(String::new());
    }
    let mut svg = String::new();
    draw_over_time(&mut svg, side, &shown, horizon_s, top).map_err(|error| error.to_string())?;
    let names: Vec<(&str, RGBColor)> = shown.iter().map(|((name, _), color)| (*name, *color)).collect();
    let piece = match horizon_s / side.over_time.len() as f64 {
        s if s < 1.0 => number::millis(s * 1e3),
        s => number::long(s * 1e3),
    };
    let unit = match series {
        [("requests", _), ..] => format!(", in each {piece}"),
        _ => String::new(),
    };
    Ok(figure(&format!("{title} over time{unit}"), &names, &svg))
}

fn draw_over_time(svg: &mut String, side: &Side, series: &[Shown<'_>], horizon_s: f64, top: f64) -> Drawn {
    let (second, name) = unit_of(horizon_s);
    let area = SVGBackend::with_string(svg, OVER_TIME).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .margin_right(30)
        .x_label_area_size(26)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..horizon_s / second, 0.0..top * 1.08)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(8)
        .y_labels(5)
        .axis_style(GRID)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .x_label_formatter(&|at| format!("{} {name}", plain(*at)))
        .y_label_formatter(&|value| axis(*value, top))
        .draw()?;
    for (at, ((_, of), color)) in series.iter().enumerate() {
        let points = side.over_time.iter().map(|piece| (piece.at_s / second, of(piece)));
        if at == 0 {
            chart.draw_series(AreaSeries::new(points.clone(), 0.0, color.mix(0.15)))?;
        }
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
    }
    area.present()?;
    Ok(())
}

/// The unit in which a time of so many seconds is divided evenly, in seconds, and its name.
fn unit_of(horizon_s: f64) -> (f64, &'static str) {
    match horizon_s {
        s if s <= 300.0 => (1.0, "s"),
        s if s <= 4.0 * 3_600.0 => (60.0, "min"),
        s if s <= 4.0 * 86_400.0 => (3_600.0, "h"),
        _ => (86_400.0, "d"),
    }
}

/// Without zeros that say nothing.
fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn axis(value: f64, top: f64) -> String {
    match top >= 10.0 {
        true => number::count(value.round().max(0.0) as u64),
        false => plain(value),
    }
}

/// A figure over what is swept, a line for each side; nothing where all are zero, and nothing of more lines than there are
/// colours or more values than can be told apart.
///
/// # Errors
/// When it cannot be drawn, with what the plotting library says.
pub fn swept(of: &Figure, lines: &[Line], key: &str) -> Result<String, String> {
    let values = lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
    let tops = lines
        .iter()
        .flat_map(|line| &line.points)
        .filter_map(|(_, interval)| *interval);
    let top = tops
        .map(|interval| interval.mean + interval.half_width.unwrap_or(0.0))
        .fold(0.0, f64::max);
    if top <= 0.0 || lines.len() > COLORS.len() || !(2..=VALUES_MAX).contains(&values) {
        return Ok(String::new());
    }
    let mut svg = String::new();
    draw_swept(&mut svg, of, lines, values, top).map_err(|error| error.to_string())?;
    let names: Vec<(&str, RGBColor)> = lines.iter().map(|line| line.name.as_str()).zip(COLORS).collect();
    Ok(figure(&format!("{} by {key}", of.words), &names, &svg))
}

fn draw_swept(svg: &mut String, of: &Figure, lines: &[Line], values: usize, top: f64) -> Drawn {
    let area = SVGBackend::with_string(svg, SWEPT).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .margin_right(30)
        .x_label_area_size(26)
        .y_label_area_size(70)
        .build_cartesian_2d(-0.3..values as f64 - 0.7, 0.0..top * 1.08)?;
    let longest = lines.iter().max_by_key(|line| line.points.len());
    let label = |at: &f64| {
        let nearest = at.round();
        let is_whole = (at - nearest).abs() < 0.01 && nearest >= 0.0;
        let point = longest.and_then(|line| line.points.get(nearest.max(0.0) as usize));
        point
            .filter(|_| is_whole)
            .map_or_else(String::new, |(value, _)| value.clone())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(values * 2 + 1)
        .y_labels(5)
        .axis_style(GRID)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .x_label_formatter(&label)
        .y_label_formatter(&|value| swept_axis(of.unit, *value, top))
        .draw()?;
    for (line, color) in lines.iter().zip(COLORS) {
        let known = line.points.iter().enumerate();
        let known = known.filter_map(|(at, (_, interval))| Some((at as f64, (*interval)?)));
        let known: Vec<(f64, Interval)> = known.collect();
        for (x, interval) in &known {
            let half = interval.half_width.unwrap_or(0.0);
            let ends = vec![(*x, (interval.mean - half).max(0.0)), (*x, interval.mean + half)];
            chart.draw_series(LineSeries::new(ends, color.mix(0.3).stroke_width(5)))?;
        }
        let means = known.iter().map(|(x, interval)| (*x, interval.mean));
        chart.draw_series(LineSeries::new(means.clone(), color.stroke_width(2)))?;
        chart.draw_series(means.map(|at| Circle::new(at, 3, color.filled())))?;
    }
    area.present()?;
    Ok(())
}

fn swept_axis(unit: Unit, value: f64, top: f64) -> String {
    match unit {
        Unit::Count | Unit::Mean => axis(value, top),
        Unit::Share => format!("{}%", plain(value * 100.0)),
        Unit::Millis if value == 0.0 => "0".to_owned(),
        Unit::Millis if top < 1_000.0 => format!("{} ms", plain(value)),
        Unit::Dollars if top >= 10.0 => format!("${}", number::count(value.round().max(0.0) as u64)),
        _ => unit.show(value),
    }
}

/// A drawing with what is in it, for those who see it and those who have it read to them.
fn figure(title: &str, names: &[(&str, RGBColor)], svg: &str) -> String {
    let mut out = format!("<figure>\n<figcaption><b>{}</b>", escaped(title));
    for (name, RGBColor(r, g, b)) in names {
        out.push_str(&format!(
            " <span><svg class=\"key\" viewBox=\"0 0 10 10\"><rect width=\"10\" height=\"10\" fill=\"#{r:02X}{g:02X}{b:02X}\"/></svg>{}</span>",
            escaped(name)
        ));
    }
    let named = format!("<svg role=\"img\" aria-label=\"{}\" ", escaped(title));
    out.push_str("</figcaption>\n");
    out.push_str(&svg.replacen("<svg ", &named, 1));
    out.push_str("</figure>\n");
    out
}
