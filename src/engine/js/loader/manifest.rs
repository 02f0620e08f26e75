//! What a package.json says: entry points by condition, what replaces what in browsers, which kind of module its files are.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// JSON whose objects keep the order of their keys: the first condition that holds decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Null,
    Bool(bool),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// Numbers say nothing here.
    Other,
}

impl Json {
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            // As in JavaScript, of two the last counts.
            Json::Object(members) => members
                .iter()
                .rev()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn flag(&self) -> Option<bool> {
        match self {
            Json::Bool(flag) => Some(*flag),
            _ => None,
        }
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = list.next_element()? {
            out.push(item);
        }
        Ok(Json::List(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        while let Some(member) = map.next_entry()? {
            out.push(member);
        }
        Ok(Json::Object(out))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// How a module asks for another: packages may have an entry for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Import,
    Require,
}

/// Whether a condition of `exports` and `imports` holds. emu is a runtime of the web's interfaces, not Node.
fn holds(condition: &str, by: Use, production: bool) -> bool {
    match condition {
        "workerd" | "worker" | "browser" | "default" => true,
        "import" | "module" => by == Use::Import,
        "require" => by == Use::Require,
        "production" => production,
        "development" => !production,
        _ => false,
    }
}

/// The file a condition leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    Path(String),
    /// `null`: the package keeps it to itself.
    Hidden,
}

#[derive(Debug)]
pub struct Manifest {
    json: Json,
}

impl Manifest {
    pub fn parse(text: &[u8]) -> Result<Manifest, serde_json::Error> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        serde_json::from_slice(text).map(|json| Manifest { json })
    }

    pub fn name(&self) -> Option<&str> {
        self.json.get("name")?.text()
    }

    /// `"type": "module"`.
    pub fn is_module(&self) -> bool {
        self.json.get("type").and_then(Json::text) == Some("module")
    }

    pub fn has_exports(&self) -> bool {
        self.json.get("exports").is_some_and(|exports| *exports != Json::Null)
    }

    /// `subpath` is `.` or begins with `./`.
    pub fn export(&self, subpath: &str, by: Use, production: bool) -> Option<Target> {
        find(self.json.get("exports")?, subpath, by, production)
    }

    /// `name` begins with `#`.
    pub fn import(&self, name: &str, by: Use, production: bool) -> Option<Target> {
        find(self.json.get("imports")?, name, by, production)
    }

    /// Entry files of packages without `exports`, the best first.
    pub fn entries(&self, by: Use) -> impl Iterator<Item = &str> {
        let fields = match by {
            Use::Import => ["browser", "module", "main"],
            Use::Require => ["browser", "main", "module"],
        };
        fields.into_iter().filter_map(|field| self.json.get(field)?.text())
    }

    /// What stands for a file (`./lib/a.js`) or a package in browsers; an empty text for an empty module.
    pub fn in_browsers(&self, wanted: &str) -> Option<&str> {
        let map = self.json.get("browser")?;
        let bare = wanted.strip_suffix(".js").unwrap_or(wanted);
        let dotless = wanted.strip_prefix("./");
        let found = map.get(wanted).or_else(|| map.get(bare)).or_else(|| map.get(dotless?));
        match found? {
            Json::Bool(false) => Some(""),
            Json::Text(path) => Some(path),
            _ => None,
        }
    }
}

/// The target of a subpath in `exports` or `imports`.
fn find(exports: &Json, subpath: &str, by: Use, production: bool) -> Option<Target> {
    let by_path = |members: &[(String, Json)]| {
        members
            .iter()
            .any(|(key, _)| key.starts_with('.') || key.starts_with('#'))
    };
    let members = match exports {
        Json::Object(members) if by_path(members) => members,
        _ => return pick(exports, "", by, production).filter(|_| subpath == "."),
    };
    if let Some(target) = exports.get(subpath) {
        return pick(target, "", by, production);
    }
    // The longest pattern wins.
    let mut best: Option<(usize, &Json, &str)> = None;
    for (pattern, target) in members {
        let Some((before, after)) = pattern
            .split_once('*')
            .or_else(|| pattern.ends_with('/').then_some((pattern, "")))
        else {
            continue;
        };
        let Some(star) = subpath.strip_prefix(before).and_then(|tail| tail.strip_suffix(after)) else {
            continue;
        };
        if best.is_none_or(|(known, _, _)| before.len() > known) {
            best = Some((before.len(), target, star));
        }
    }
    best.and_then(|(_, target, star)| pick(target, star, by, production))
}

/// The first condition that holds and leads somewhere.
fn pick(target: &Json, star: &str, by: Use, production: bool) -> Option<Target> {
    match target {
        // A folder's mapping (`"./lib/": "./lib/"`) is the older way to write a pattern.
        Json::Text(path) if path.ends_with('/') => Some(Target::Path(format!("{path}{star}"))),
        Json::Text(path) => Some(Target::Path(path.replace('*', star))),
        Json::Null => Some(Target::Hidden),
        Json::List(list) => list.iter().find_map(|target| pick(target, star, by, production)),
        Json::Object(members) => members
            .iter()
            .filter(|(condition, _)| holds(condition, by, production))
            .find_map(|(_, target)| pick(target, star, by, production)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(manifest: &str, subpath: &str, by: Use) -> String {
        let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
        format!("{:?}", manifest.export(subpath, by, true))
    }

    #[test]
    fn the_first_condition_that_holds_decides() {
        let manifest = r#"{"exports": {".": {"types": "./t.d.ts", "node": "./n.js", "import": "./i.js", "worker": "./w.js",
            "default": "./d.js"}, "./a/*": "./lib/*.js", "./a/b/*": {"require": "./b/*.cjs"}, "./hidden": null}}"#;
        assert_eq!(export(manifest, ".", Use::Import), "Some(Path(\"./i.js\"))");
        assert_eq!(export(manifest, ".", Use::Require), "Some(Path(\"./w.js\"))");
        assert_eq!(export(manifest, "./a/x", Use::Import), "Some(Path(\"./lib/x.js\"))");
        assert_eq!(export(manifest, "./a/b/x", Use::Require), "Some(Path(\"./b/x.cjs\"))");
        assert_eq!(export(manifest, "./a/b/x", Use::Import), "None");
        assert_eq!(export(manifest, "./hidden", Use::Import), "Some(Hidden)");
        assert_eq!(
            export(r#"{"exports": "./m.js"}"#, ".", Use::Import),
            "Some(Path(\"./m.js\"))"
        );
        assert_eq!(export(r#"{"exports": "./m.js"}"#, "./x", Use::Import), "None");
    }
}
