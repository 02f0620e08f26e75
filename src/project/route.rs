//! Route patterns as the manifest writes them: `GET /products/{id}`, `/files/*`, `/{proxy+}`.

use std::borrow::Cow;
use std::fmt;

use super::{Route, Segment};

/// Methods a route may name; `ANY` (or no method at all) stands for all of them.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Paths under it belong to emu itself, on every port.
const RESERVED: &str = "_emu";

/// Why a text is no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFault {
    /// A lowercase fragment.
    pub message: String,
    pub remedy: Option<String>,
}

impl RouteFault {
    fn new(message: impl Into<String>) -> RouteFault {
        RouteFault {
            message: message.into(),
            remedy: None,
        }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> RouteFault {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Route {
    /// Reads `[METHOD ]/path`.
    ///
    /// # Errors
    /// What is wrong with it and, where it can be guessed, what was meant.
    pub fn parse(text: &str) -> Result<Route, RouteFault> {
        let trimmed = text.trim();
        let (method, path) = match trimmed.split_once(char::is_whitespace) {
            Some((method, path)) => (Some(parse_method(method)?), path.trim_start()),
            None => (None, trimmed),
        };
        let Some(rest) = path.strip_prefix('/') else {
            return Err(no_slash(trimmed, path, method.as_ref().map(Option::as_deref)));
        };
        if let Some(at) = path.find(['?', '#']) {
            return Err(RouteFault::new("a route has no query and no fragment").remedy(format!(
                "write `{}`; the function reads the query from the request",
                &path[..at]
            )));
        }
        if path.contains(char::is_whitespace) || path.contains(char::is_control) {
            return Err(RouteFault::new("a route's path has no spaces").remedy("write a space as `%20`"));
        }
        let segments = parse_segments(rest)?;
        if matches!(segments.first(), Some(Segment::Literal(first)) if first == RESERVED) {
            return Err(RouteFault::new(format!("paths under `/{RESERVED}` belong to emu"))
                .remedy("choose another first segment"));
        }
        let pattern = pattern_of(&segments);
        Ok(Route {
            method: method.flatten(),
            segments,
            pattern,
        })
    }

    /// Any method on `/name` alone.
    pub fn exact(name: &str) -> Route {
        let segments = vec![Segment::Literal(name.to_owned())];
        Route {
            method: None,
            pattern: pattern_of(&segments),
            segments,
        }
    }

    /// Any method on everything below `/name`.
    pub fn below(name: &str) -> Route {
        let segments = vec![Segment::Literal(name.to_owned()), Segment::Rest(None)];
        Route {
            method: None,
            pattern: pattern_of(&segments),
            segments,
        }
    }

    /// Any method on every path.
    pub fn everything() -> Route {
        let segments = vec![Segment::Rest(None)];
        Route {
            method: None,
            pattern: pattern_of(&segments),
            segments,
        }
    }

    /// The route's name in an API Gateway 2.0 event: `GET /products/{id}`, `ANY /api`, `$default` for `/*`.
    pub fn key(&self) -> String {
        match (&self.method, self.segments.as_slice()) {
            (None, [Segment::Rest(None)]) => "$default".to_owned(),
            (method, _) => format!("{} {}", method.as_deref().unwrap_or("ANY"), self.pattern),
        }
    }

    /// Whether both take exactly the same requests (the names of parameters do not matter).
    pub fn same_requests(&self, other: &Route) -> bool {
        self.method == other.method
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|(a, b)| match (a, b) {
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
                (Segment::Param(_), Segment::Param(_)) | (Segment::Rest(_), Segment::Rest(_)) => true,
                (Segment::Literal(_) | Segment::Param(_) | Segment::Rest(_), _) => false,
            })
    }
}

impl fmt::Display for Route {
    /// As a person writes it: `GET /products/{id}`, `/api`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.method {
            Some(method) => write!(f, "{method} {}", self.pattern),
            None => f.write_str(&self.pattern),
        }
    }
}

fn parse_method(text: &str) -> Result<Option<String>, RouteFault> {
    let upper = text.to_ascii_uppercase();
    if upper != text && (METHODS.contains(&upper.as_str()) || upper == "ANY") {
        return Err(
            RouteFault::new(format!("methods are written in capitals, found `{text}`"))
                .remedy(format!("write `{upper}`")),
        );
    }
    if upper == "ANY" || upper == "*" {
        return Ok(None);
    }
    if METHODS.contains(&upper.as_str()) {
        return Ok(Some(upper));
    }
    Err(RouteFault::new(format!("`{text}` is no method")).remedy(format!(
        "methods are {}; no method (or `ANY`) takes all",
        METHODS.join(", ")
    )))
}

fn no_slash(text: &str, path: &str, method: Option<Option<&str>>) -> RouteFault {
    if path.is_empty() {
        return RouteFault::new("an empty route").remedy("write a path such as `/orders` or `/*`");
    }
    if path.contains("://") {
        return RouteFault::new("a route is a path, not a whole URL")
            .remedy("write only the part from the first `/` on");
    }
    if method.is_none() && METHODS.contains(&text.to_ascii_uppercase().as_str()) {
        return RouteFault::new("a method without a path")
            .remedy(format!("write `{} /path`", text.to_ascii_uppercase()));
    }
    let method = method.flatten().map_or(String::new(), |method| format!("{method} "));
    RouteFault::new("a route's path begins with `/`").remedy(format!("write `{method}/{path}`"))
}

fn parse_segments(rest: &str) -> Result<Vec<Segment>, RouteFault> {
    // One slash at the end means the same route, so it goes.
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<&str> = rest.split('/').collect();
    let mut segments: Vec<Segment> = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let segment = parse_segment(part)?;
        if matches!(segment, Segment::Rest(_)) && index + 1 < parts.len() {
            return Err(
                RouteFault::new(format!("`{part}` takes the rest of the path, so nothing can follow it")).remedy(
                    format!("end the route after `{part}`, or use `{{name}}` for one segment"),
                ),
            );
        }
        if let Some(name) = segment_name(&segment)
            && segments.iter().any(|earlier| segment_name(earlier) == Some(name))
        {
            return Err(
                RouteFault::new(format!("the parameter `{name}` stands twice in one route"))
                    .remedy("give each parameter a name of its own"),
            );
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn segment_name(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(_) => None,
        Segment::Param(name) => Some(name),
        Segment::Rest(name) => name.as_deref(),
    }
}

fn parse_segment(part: &str) -> Result<Segment, RouteFault> {
    if part.is_empty() {
        return Err(RouteFault::new("an empty segment (`//`) in a route").remedy("take one slash away"));
    }
    if part == "*" {
        return Ok(Segment::Rest(None));
    }
    if let Some(inner) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
        let (name, rest) = inner.strip_suffix('+').map_or((inner, false), |name| (name, true));
        let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !valid {
            return Err(RouteFault::new(format!("`{part}` is no parameter"))
                .remedy("a parameter is `{name}` with letters, digits, `_` and `-`; `{name+}` takes the rest"));
        }
        return Ok(if rest {
            Segment::Rest(Some(name.to_owned()))
        } else {
            Segment::Param(name.to_owned())
        });
    }
    foreign_style(part)?;
    if part.contains(['{', '}', '*']) {
        return Err(
            RouteFault::new(format!("`{part}` mixes text with a parameter or wildcard"))
                .remedy("a parameter `{name}` or a wildcard `*` takes a whole segment"),
        );
    }
    if part == "." || part == ".." {
        return Err(
            RouteFault::new(format!("`{part}` is no segment that a request can have")).remedy("write the path out"),
        );
    }
    Ok(Segment::Literal(percent_decode(part).into_owned()))
}

/// Parameters as other frameworks write them.
fn foreign_style(part: &str) -> Result<(), RouteFault> {
    let word = |text: &str| {
        text.chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let meant = if part == "**" {
        "*".to_owned()
    } else if part.starts_with(':') && part.len() > 1 {
        format!("{{{}}}", word(part))
    } else if part.starts_with("[...") && part.ends_with(']') {
        format!("{{{}+}}", word(part))
    } else if (part.starts_with('[') && part.ends_with(']')) || (part.starts_with('<') && part.ends_with('>')) {
        format!("{{{}}}", word(part.rsplit(':').next().unwrap_or(part)))
    } else {
        return Ok(());
    };
    Err(RouteFault::new(format!("`{part}` is not how emu writes a parameter")).remedy(format!("write `{meant}`")))
}

fn pattern_of(segments: &[Segment]) -> String {
    if segments.is_empty() {
        return "/".to_owned();
    }
    let mut pattern = String::new();
    for segment in segments {
        pattern.push('/');
        match segment {
            Segment::Literal(text) => pattern.push_str(text),
            Segment::Param(name) => pattern.push_str(&format!("{{{name}}}")),
            Segment::Rest(None) => pattern.push('*'),
            Segment::Rest(Some(name)) => pattern.push_str(&format!("{{{name}+}}")),
        }
    }
    pattern
}

/// Decodes `%41`; what is no valid escape, or does not decode to UTF-8, stays as it is.
pub fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = match &bytes[at..] {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escape {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (String, String) {
        let fault = Route::parse(text).expect_err(text);
        (fault.message, fault.remedy.unwrap_or_default())
    }

    #[test]
    fn routes_are_normalised() {
        let shown = |text: &str| Route::parse(text).map(|route| route.to_string()).map_err(|f| f.message);
        assert_eq!(shown("GET /products/{id}"), Ok("GET /products/{id}".into()));
        assert_eq!(shown("  POST   /orders/ "), Ok("POST /orders".into()));
        assert_eq!(shown("ANY /x"), Ok("/x".into()));
        assert_eq!(shown("/"), Ok("/".into()));
        assert_eq!(shown("/{proxy+}"), Ok("/{proxy+}".into()));
        assert_eq!(shown("/caf%C3%A9/*"), Ok("/caf\u{e9}/*".into()));
    }

    #[test]
    fn keys_are_those_of_api_gateway() {
        let key = |text: &str| Route::parse(text).map(|route| route.key()).expect(text);
        assert_eq!(key("/*"), "$default");
        assert_eq!(key("/api"), "ANY /api");
        assert_eq!(key("GET /a/{id}"), "GET /a/{id}");
        assert_eq!(key("GET /*"), "GET /*");
    }

    #[test]
    fn faults_name_what_was_meant() {
        assert_eq!(
            fault("get /x"),
            (
                "methods are written in capitals, found `get`".into(),
                "write `GET`".into()
            )
        );
        assert_eq!(fault("x/y").1, "write `/x/y`");
        assert_eq!(fault("GET products").1, "write `GET /products`");
        assert_eq!(fault("ANY x").1, "write `/x`");
        assert_eq!(fault("GET").1, "write `GET /path`");
        assert_eq!(fault("/users/:id").1, "write `{id}`");
        assert_eq!(fault("/users/[id]").1, "write `{id}`");
        assert_eq!(fault("/docs/[...slug]").1, "write `{slug+}`");
        assert_eq!(fault("/docs/<int:page>").1, "write `{page}`");
        assert_eq!(fault("/a/**").1, "write `*`");
        assert!(fault("/a/*/b").0.contains("nothing can follow"));
        assert!(fault("/a?x=1").1.contains("write `/a`"));
        assert!(fault("/{id}/{id}").0.contains("stands twice"));
        assert!(fault("/a{id}").0.contains("mixes"));
        assert!(fault("/a//b").0.contains("empty segment"));
        assert!(fault("/_emu/health").0.contains("belong to emu"));
        assert!(fault("FETCH /x").0.contains("no method"));
        assert!(fault("https://a.example/x").0.contains("not a whole URL"));
        assert!(fault("").0.contains("empty route"));
    }

    #[test]
    fn percent_escapes_decode_or_stay() {
        assert_eq!(percent_decode("a%2Fb"), "a/b");
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%41"), "%zzA");
        assert_eq!(percent_decode("%ff"), "%ff");
    }
}
