//! `--sweep KEY=A,B,C`: one simulation for each value, or for each combination of several keys' values.

use crate::cli::failure::Failure;

/// More simulations than anybody reads the table of.
const COMBINATIONS_MAX: usize = 10_000;

/// Keys with the values of one simulation.
pub type Settings = Vec<(String, String)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    pub key: String,
    pub values: Vec<String>,
}

impl Sweep {
    /// From `KEY=A,B,C`; commas within brackets and quotes belong to a value.
    ///
    /// # Errors
    /// A fragment that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Sweep, String> {
        let wrong = || format!("`{text}` is no sweep; write KEY=A,B,C, such as keep_alive=1m,10m,1h");
        let (key, values) = text.split_once('=').ok_or_else(wrong)?;
        let values = split(values);
        if key.trim().is_empty() || values.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok(Sweep {
            key: key.trim().to_owned(),
            values,
        })
    }
}

fn split(text: &str) -> Vec<String> {
    let (mut values, mut depth, mut quoted) = (vec![String::new()], 0i32, false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 && !quoted {
            values.push(String::new());
        } else if let Some(last) = values.last_mut() {
            last.push(c);
        }
    }
    values.into_iter().map(|value| value.trim().to_owned()).collect()
}

/// Each combination once, the last key's values changing fastest; one without settings where nothing is swept.
///
/// # Errors
/// When there are too many, or a key is swept twice.
pub fn combinations(sweeps: &[Sweep]) -> Result<Vec<Settings>, Failure> {
    for (at, sweep) in sweeps.iter().enumerate() {
        if sweeps[..at].iter().any(|earlier| earlier.key == sweep.key) {
            return Err(Failure::usage(format!("`{}` is swept twice", sweep.key)).remedy("join its values with commas"));
        }
    }
    let count = sweeps
        .iter()
        .try_fold(1usize, |count, sweep| count.checked_mul(sweep.values.len()));
    if count.is_none_or(|count| count > COMBINATIONS_MAX) {
        return Err(
            Failure::usage(format!("more than {COMBINATIONS_MAX} combinations are to be simulated"))
                .remedy("sweep fewer values"),
        );
    }
    let mut all = vec![Vec::new()];
    for sweep in sweeps {
        let longer = all.iter().flat_map(|settings: &Settings| {
            sweep.values.iter().map(move |value| {
                let mut settings = settings.clone();
                settings.push((sweep.key.clone(), value.clone()));
                settings
            })
        });
        all = longer.collect();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_at_their_own_commas() {
        let sweep = Sweep::parse("service={ min = \"1s\", max = \"2s\" },3s,\"a,b\"").expect("a sweep");
        assert_eq!(sweep.values, ["{ min = \"1s\", max = \"2s\" }", "3s", "\"a,b\""]);
        for wrong in ["keep_alive", "=1,2", "a=1,,2", "a="] {
            assert!(Sweep::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_combination_comes_once() {
        let sweeps = ["a=1,2", "b=x,y,z"].map(|text| Sweep::parse(text).expect("a sweep"));
        let all = combinations(&sweeps).expect("few");
        let shown: Vec<String> = all
            .iter()
            .map(|settings| settings.iter().map(|(_, value)| value.as_str()).collect())
            .collect();
        assert_eq!(shown, ["1x", "1y", "1z", "2x", "2y", "2z"]);
        assert!(combinations(&[sweeps[0].clone(), sweeps[0].clone()]).is_err());
        assert_eq!(combinations(&[]).expect("none"), [Vec::new()]);
    }
}
