//! Values in a lesson's text: `1:api:cold_share`, with a sweep's values before the side (`1:10m:api:cold_share`), and plain
//! arithmetic from left to right: `1:web:cost_month_dollars / 1:api:cost_million_dollars`.

use super::Language;
use crate::report::number;
use crate::report::simulation::{FIGURES, Interval, Point, Side, Simulation, Unit};

/// A number with the unit it is shown in; `None`: a bare number, of which two figures matter.
type Value = (f64, Option<Unit>);

/// The value of an expression, as people of this language write it.
///
/// # Errors
/// What cannot be read or found.
pub fn show(expression: &str, runs: &[Simulation], lang: Language) -> Result<String, String> {
    let fault = |what: &str| format!("`{{{{{expression}}}}}`: {what}");
    let mut words = expression.split_whitespace();
    let mut value = term(words.next().unwrap_or_default(), runs).map_err(|what| fault(&what))?;
    while let Some(operator) = words.next() {
        let word = words.next().ok_or_else(|| fault("ends with an operator"))?;
        let right = term(word, runs).map_err(|what| fault(&what))?;
        value = apply(operator, value, right).ok_or_else(|| fault("an operator is +, -, * or /"))?;
    }
    let (number, unit) = value;
    Ok(localised(
        &unit.map_or_else(|| bare(number), |unit| unit.show(number)),
        lang,
    ))
}

fn apply(operator: &str, (left, of_left): Value, (right, of_right): Value) -> Option<Value> {
    Some(match operator {
        "+" => (left + right, of_left.or(of_right)),
        "-" => (left - right, of_left.or(of_right)),
        "*" => (left * right, of_left.or(of_right)),
        "/" if of_right.is_some() => (left / right, None),
        "/" => (left / right, of_left),
        _ => return None,
    })
}

fn term(word: &str, runs: &[Simulation]) -> Result<Value, String> {
    if let Ok(number) = word.parse::<f64>() {
        return Ok((number, None));
    }
    let (run, path) = of_run(word, runs)?;
    let [settings @ .., side, name] = path.as_slice() else {
        return Err(format!("`{word}` is no RUN:SIDE:FIGURE"));
    };
    let point = point(run, settings).ok_or_else(|| format!("`{word}`: no such point"))?;
    let interval = interval(point, side, name).ok_or_else(|| format!("`{word}`: no such figure"))?;
    let unit = FIGURES
        .iter()
        .find(|figure| figure.name == *name)
        .map(|figure| figure.unit);
    Ok((interval.mean, unit))
}

/// The run, and what stands behind its number.
pub fn of_run<'a, 'b>(word: &'a str, runs: &'b [Simulation]) -> Result<(&'b Simulation, Vec<&'a str>), String> {
    let mut parts = word.split(':');
    let number = parts.next().and_then(|number| number.parse::<usize>().ok());
    let run = number.and_then(|number| runs.get(number.checked_sub(1)?));
    Ok((run.ok_or_else(|| format!("`{word}`: no such run"))?, parts.collect()))
}

/// The point with these values of what is swept.
pub fn point<'a>(run: &'a Simulation, settings: &[&str]) -> Option<&'a Point> {
    let fits = |point: &&Point| {
        point
            .settings
            .iter()
            .map(|(_, value)| value.as_str())
            .eq(settings.iter().copied())
    };
    run.points.iter().find(fits)
}

pub fn side<'a>(point: &'a Point, name: &str) -> Option<&'a Side> {
    point
        .functions
        .iter()
        .chain(&point.servers)
        .find(|side| side.name == name)
}

/// A figure of a side, or of `all` functions.
pub fn interval(point: &Point, name: &str, figure: &str) -> Option<Interval> {
    let side = match (name, &point.all) {
        ("all", Some(all)) => all,
        _ => side(point, name)?,
    };
    side.figures.get(figure).copied()
}

fn bare(number: f64) -> String {
    if number.abs() >= 9.95 {
        return number::count(number.round().max(0.0) as u64);
    }
    let text = format!("{number:.1}");
    text.trim_end_matches(".0").to_owned()
}

/// Portuguese has the comma where English has the point.
pub fn localised(text: &str, lang: Language) -> String {
    if lang == Language::En {
        return text.to_owned();
    }
    let swapped: String = text
        .chars()
        .map(|c| match c {
            '.' => ',',
            ',' => '.',
            c => c,
        })
        .collect();
    swapped.replace('$', "US$ ").replace(" d ", " dias ")
}
