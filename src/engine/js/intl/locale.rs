//! Language tags: their canonical form, which of those asked for is there, and the names of languages and regions.

use icu_experimental::displaynames::multi::{LocaleDisplayNamesFormatter, RegionDisplayNames, ScriptDisplayNames};
use icu_experimental::displaynames::{DisplayNamesOptions, LanguageDisplay, Style};
use icu_locale::extensions::unicode::Unicode;
use icu_locale::subtags::{Region, Script};
use icu_locale::{Locale, LocaleCanonicalizer, LocaleExpander};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{absent, range, told};

/// Languages that the compiled data has.
const LANGUAGES: &str = include_str!("languages.txt");
/// What is taken when nothing that is asked for is there, or nothing is asked for.
const DEFAULT: &str = "en-US";
const TAGS_MAX: usize = 64;

/// A tag that the prelude has had from `negotiate`.
pub fn parse(tag: &str) -> Result<Locale, String> {
    Locale::try_from_str(tag).map_err(|_| range(&format!("Incorrect locale information provided: {tag}")))
}

fn canonical(tag: &str) -> Result<Locale, String> {
    // ICU4X takes an underscore for a hyphen; BCP 47 does not.
    if tag.contains('_') {
        return Err(range(&format!("Incorrect locale information provided: {tag}")));
    }
    let mut locale = parse(tag)?;
    LocaleCanonicalizer::new_extended().canonicalize(&mut locale);
    Ok(locale)
}

fn is_there(locale: &Locale) -> bool {
    LANGUAGES
        .split_whitespace()
        .any(|known| known == locale.id.language.as_str())
}

/// For a JSON array of tags: `{list, supported, locale, keywords}`. `list` is their canonical forms, `supported` those that
/// are there, `locale` the first of them without its extensions, `keywords` its keywords (`nu`, `hc`, `co`, `kn`, `kf`).
///
/// # Errors
/// One of them is no language tag.
pub fn negotiate(tags: &str) -> Result<String, String> {
    let tags: Vec<String> = told(tags)?;
    if tags.len() > TAGS_MAX {
        return Err(range("too many locales"));
    }
    let mut list: Vec<Locale> = Vec::new();
    for tag in &tags {
        let locale = canonical(tag)?;
        if !list.contains(&locale) {
            list.push(locale);
        }
    }
    let supported: Vec<&Locale> = list.iter().filter(|locale| is_there(locale)).collect();
    let chosen = supported.first().map(|locale| (*locale).clone());
    let mut chosen = chosen.map_or_else(|| parse(DEFAULT), Ok)?;
    let mut keywords = Map::new();
    for (key, value) in chosen.extensions.unicode.keywords.iter() {
        keywords.insert(key.to_string(), Value::String(value.to_string()));
    }
    chosen.extensions.unicode = Unicode::new();
    let texts = |locales: &mut dyn Iterator<Item = &Locale>| locales.map(ToString::to_string).collect::<Vec<_>>();
    Ok(json!({
        "list": texts(&mut list.iter()),
        "supported": texts(&mut supported.iter().copied()),
        "locale": chosen.id.to_string(),
        "keywords": keywords,
    })
    .to_string())
}

/// With the script and the region that are likely.
pub fn maximized(tag: &str) -> Result<String, String> {
    let mut locale = canonical(tag)?;
    LocaleExpander::new_extended().maximize(&mut locale.id);
    Ok(locale.to_string())
}

/// Without the script and the region that are likely anyway.
pub fn minimized(tag: &str) -> Result<String, String> {
    let mut locale = canonical(tag)?;
    LocaleExpander::new_extended().minimize(&mut locale.id);
    Ok(locale.to_string())
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Naming {
    r#type: String,
    style: String,
    language_display: String,
}

/// The name of a language, region or script; empty when the data has none.
pub fn name(tag: &str, options: &str, code: &str) -> Result<String, String> {
    let naming: Naming = told(options)?;
    let invalid = || range(&format!("Invalid argument to Intl.DisplayNames.prototype.of: {code}"));
    let locale = parse(tag)?;
    let mut chosen = DisplayNamesOptions::default();
    chosen.style = Some(match naming.style.as_str() {
        "short" => Style::Short,
        "narrow" => Style::Narrow,
        _ => Style::Long,
    });
    if naming.language_display == "standard" {
        chosen.language_display = LanguageDisplay::Standard;
    }
    match naming.r#type.as_str() {
        "region" => {
            let region = Region::try_from_str(code).map_err(|_| invalid())?;
            let names = RegionDisplayNames::try_new((&locale).into(), chosen).map_err(absent)?;
            Ok(names.of(region).unwrap_or_default().to_owned())
        }
        "script" => {
            let script = Script::try_from_str(code).map_err(|_| invalid())?;
            let names = ScriptDisplayNames::try_new((&locale).into(), chosen).map_err(absent)?;
            Ok(names.of(script).unwrap_or_default().to_owned())
        }
        _ => {
            let language = Locale::try_from_str(code).map_err(|_| invalid())?;
            let names = LocaleDisplayNamesFormatter::try_new((&locale).into(), chosen).map_err(absent)?;
            Ok(names.of(&language).into_owned())
        }
    }
}
