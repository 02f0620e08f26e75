//! Finds the route of a request: a literal beats a parameter, a parameter beats the rest, a method beats any.
//!
//! A tree of segments, searched depth first. No node is visited twice for a request, so its cost is bounded by the
//! number of routes whatever the path.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::route::percent_decode;
use super::{Route, Segment};

/// All routes of a project, each with what answers it.
#[derive(Clone, Debug)]
pub struct Router<T> {
    nodes: Vec<Node>,
    entries: Vec<Entry<T>>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Sorted by text; an index into `nodes`.
    literals: Vec<(Box<str>, usize)>,
    param: Option<usize>,
    /// Routes that end here, as indices into `entries`.
    here: Vec<usize>,
    /// Routes that take this point and everything below it.
    rest: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    route: Route,
    key: String,
    target: T,
}

/// What a request leads to.
#[derive(Debug, PartialEq)]
pub enum Lookup<'r, 'p, T> {
    Found(Match<'r, 'p, T>),
    /// Some route takes the path, none takes the method: 405 with these in `Allow`, sorted.
    MethodNotAllowed(Vec<&'r str>),
    NotFound,
}

#[derive(Debug, PartialEq)]
pub struct Match<'r, 'p, T> {
    pub target: &'r T,
    pub route: &'r Route,
    /// [`Route::key`], made once.
    pub key: &'r str,
    /// Percent-decoded, in the order of the pattern. An unnamed rest is not among them.
    pub params: Vec<(&'r str, Cow<'p, str>)>,
}

impl<T> Default for Router<T> {
    fn default() -> Router<T> {
        Router {
            nodes: vec![Node::default()],
            entries: Vec::new(),
        }
    }
}

impl<T> Router<T> {
    pub fn new() -> Router<T> {
        Router::default()
    }

    /// Adds a route. When one with the same requests is there already, nothing changes and its target comes back.
    ///
    /// # Errors
    /// The target of the route that takes the same requests.
    pub fn insert(&mut self, route: &Route, target: T) -> Result<(), &T> {
        if let Some(at) = self.entries.iter().position(|entry| entry.route.same_requests(route)) {
            return Err(&self.entries[at].target);
        }
        let mut node = 0;
        let mut is_rest = false;
        for segment in &route.segments {
            match segment {
                Segment::Literal(text) => node = self.literal_child(node, text),
                Segment::Param(_) => node = self.param_child(node),
                Segment::Rest(_) => is_rest = true,
            }
        }
        let entry = self.entries.len();
        self.entries.push(Entry {
            route: route.clone(),
            key: route.key(),
            target,
        });
        let ends = &mut self.nodes[node];
        if is_rest {
            ends.rest.push(entry)
        } else {
            ends.here.push(entry)
        }
        Ok(())
    }

    /// Every route with its target, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&Route, &T)> {
        self.entries.iter().map(|entry| (&entry.route, &entry.target))
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Finds the route for a request's method and raw path (still percent-encoded, without the query).
    ///
    /// Segments are cut at `/` before they are decoded, so `%2F` never separates. One slash at the end is ignored.
    /// HEAD falls back to GET.
    pub fn find<'r, 'p>(&'r self, method: &str, path: &'p str) -> Lookup<'r, 'p, T> {
        let trimmed = path.strip_prefix('/').unwrap_or(path);
        let mut search = Search {
            router: self,
            method,
            best: None,
            seen_path: false,
            values: Vec::new(),
        };
        search.visit(0, (!trimmed.is_empty()).then_some(trimmed));
        match search.best.take() {
            Some(entry) => {
                let values = std::mem::take(&mut search.values);
                Lookup::Found(self.matched(entry, values))
            }
            None if search.seen_path => Lookup::MethodNotAllowed(self.allowed(trimmed)),
            None => Lookup::NotFound,
        }
    }

    fn literal_child(&mut self, node: usize, text: &str) -> usize {
        match self.nodes[node]
            .literals
            .binary_search_by(|(literal, _)| (**literal).cmp(text))
        {
            Ok(at) => self.nodes[node].literals[at].1,
            Err(at) => {
                let child = self.nodes.len();
                self.nodes.push(Node::default());
                self.nodes[node].literals.insert(at, (text.into(), child));
                child
            }
        }
    }

    fn param_child(&mut self, node: usize) -> usize {
        if let Some(child) = self.nodes[node].param {
            return child;
        }
        let child = self.nodes.len();
        self.nodes.push(Node::default());
        self.nodes[node].param = Some(child);
        child
    }

    fn matched<'r, 'p>(&'r self, entry: usize, values: Vec<&'p str>) -> Match<'r, 'p, T> {
        let entry = &self.entries[entry];
        let mut values = values.into_iter();
        let mut params = Vec::new();
        for segment in &entry.route.segments {
            match segment {
                Segment::Literal(_) => {}
                Segment::Param(name) | Segment::Rest(Some(name)) => {
                    params.push((name.as_str(), percent_decode(values.next().unwrap_or_default())));
                }
                Segment::Rest(None) => {}
            }
        }
        Match {
            target: &entry.target,
            route: &entry.route,
            key: &entry.key,
            params,
        }
    }

    /// Methods of all routes that take the path: only asked for once the answer is 405.
    fn allowed(&self, path: &str) -> Vec<&str> {
        let mut methods = BTreeSet::new();
        for entry in &self.entries {
            if takes(&entry.route.segments, path) {
                methods.extend(entry.route.method.as_deref());
            }
        }
        if methods.contains("GET") {
            methods.insert("HEAD");
        }
        methods.into_iter().collect()
    }
}

/// Whether a pattern takes a path, by the same rules as the tree.
fn takes(segments: &[Segment], path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut parts = path.split('/').filter(|_| !path.is_empty());
    for segment in segments {
        match segment {
            Segment::Rest(_) => return true,
            Segment::Literal(text) => match parts.next() {
                Some(part) if percent_decode(part) == *text => {}
                Some(_) | None => return false,
            },
            Segment::Param(_) => match parts.next() {
                Some(part) if !part.is_empty() => {}
                Some(_) | None => return false,
            },
        }
    }
    parts.next().is_none()
}

struct Search<'r, 'p, 'm, T> {
    router: &'r Router<T>,
    method: &'m str,
    best: Option<usize>,
    /// Some route takes the path with another method.
    seen_path: bool,
    /// Values of the parameters on the way to the node being looked at, still encoded.
    values: Vec<&'p str>,
}

impl<'p, T> Search<'_, 'p, '_, T> {
    /// `rest`: what is left of the path, `None` at its end. True once a route was found.
    fn visit(&mut self, node: usize, rest: Option<&'p str>) -> bool {
        let router = self.router;
        let node = &router.nodes[node];
        // One slash at the end is ignored: an empty last segment counts as the end.
        let Some(left) = rest.filter(|left| !left.is_empty()) else {
            return self.choose(&node.here) || self.choose_rest(&node.rest, rest.unwrap_or_default());
        };
        let (part, below) = left
            .split_once('/')
            .map_or((left, None), |(part, below)| (part, Some(below)));
        if !node.literals.is_empty() {
            let text = percent_decode(part);
            if let Ok(at) = node.literals.binary_search_by(|(literal, _)| (**literal).cmp(&text))
                && self.visit(node.literals[at].1, below)
            {
                return true;
            }
        }
        if let Some(child) = node.param.filter(|_| !part.is_empty()) {
            self.values.push(part);
            if self.visit(child, below) {
                return true;
            }
            self.values.pop();
        }
        self.choose_rest(&node.rest, left)
    }

    fn choose_rest(&mut self, entries: &[usize], value: &'p str) -> bool {
        let found = self.choose(entries);
        if found {
            self.values.push(value);
        }
        found
    }

    /// The route of a node for the method: itself, GET for HEAD, then any.
    fn choose(&mut self, entries: &[usize]) -> bool {
        let with = |method: Option<&str>| {
            entries
                .iter()
                .copied()
                .find(|at| self.router.entries[*at].route.method.as_deref() == method)
        };
        let head = if self.method == "HEAD" { with(Some("GET")) } else { None };
        self.best = with(Some(self.method)).or(head).or_else(|| with(None));
        self.seen_path |= !entries.is_empty();
        self.best.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[&'static str]) -> Router<&'static str> {
        let mut router = Router::new();
        for text in routes {
            let route = Route::parse(text).expect(text);
            assert_eq!(router.insert(&route, *text), Ok(()), "{text}");
        }
        router
    }

    /// `PATTERN name=value ...`, `405 METHODS` or `404`.
    fn find(router: &Router<&'static str>, request: &str) -> String {
        let (method, path) = request.split_once(' ').expect("METHOD path");
        match router.find(method, path) {
            Lookup::Found(found) => {
                let mut text = (*found.target).to_owned();
                for (name, value) in found.params {
                    text.push_str(&format!(" {name}={value}"));
                }
                text
            }
            Lookup::MethodNotAllowed(methods) => format!("405 {}", methods.join(",")),
            Lookup::NotFound => "404".to_owned(),
        }
    }

    #[test]
    fn literals_before_parameters_before_the_rest() {
        let r = router(&[
            "/*",
            "/users/{id}",
            "/users/me",
            "/users/*",
            "/users/{id}/posts/{post}",
            "/users/me/posts",
        ]);
        for (request, expected) in [
            ("GET /", "/*"),
            ("GET /users", "/users/*"),
            ("GET /users/", "/users/*"),
            ("GET /users/me", "/users/me"),
            ("GET /users/7", "/users/{id} id=7"),
            ("GET /users/7/", "/users/{id} id=7"),
            ("GET /users/me/posts", "/users/me/posts"),
            ("GET /users/me/posts/1", "/users/{id}/posts/{post} id=me post=1"),
            ("GET /users/7/likes/3", "/users/*"),
            ("GET /elsewhere/at/all", "/*"),
            ("GET //users", "/*"),
        ] {
            assert_eq!(find(&r, request), expected, "{request}");
        }
    }

    #[test]
    fn methods_fall_through_and_405_lists_them() {
        let r = router(&["GET /a", "POST /a", "/b", "DELETE /b", "GET /c/{id}", "PUT /c/*"]);
        for (request, expected) in [
            ("GET /a", "GET /a"),
            ("HEAD /a", "GET /a"),
            ("DELETE /a", "405 GET,HEAD,POST"),
            ("DELETE /b", "DELETE /b"),
            ("PATCH /b", "/b"),
            ("HEAD /b", "/b"),
            ("PUT /c/1", "PUT /c/*"),
            ("PUT /c", "PUT /c/*"),
            ("POST /c/1", "405 GET,HEAD,PUT"),
            ("POST /c", "405 PUT"),
            ("GET /d", "404"),
        ] {
            assert_eq!(find(&r, request), expected, "{request}");
        }
    }

    #[test]
    fn segments_are_cut_before_they_are_decoded() {
        let r = router(&["/files/{name}", "/a%20b/c", "/raw/{path+}"]);
        for (request, expected) in [
            ("GET /files/a%2Fb", "/files/{name} name=a/b"),
            ("GET /files/caf%C3%A9", "/files/{name} name=caf\u{e9}"),
            ("GET /files/%", "/files/{name} name=%"),
            ("GET /f%69les/x", "/files/{name} name=x"),
            ("GET /files//", "404"),
            ("GET /raw/x/y%20z/", "/raw/{path+} path=x/y z/"),
            ("GET /raw", "/raw/{path+} path="),
            ("GET /a%20b/c", "/a%20b/c"),
        ] {
            assert_eq!(find(&r, request), expected, "{request}");
        }
    }

    #[test]
    fn the_same_requests_twice_are_refused() {
        let mut r = router(&["GET /a/{id}"]);
        let twin = Route::parse("GET /a/{name}").expect("a route");
        assert_eq!(r.insert(&twin, "twin"), Err(&"GET /a/{id}"));
        assert_eq!(r.insert(&Route::parse("/a/{name}").expect("a route"), "any"), Ok(()));
        assert_eq!(find(&r, "POST /a/1"), "any name=1");
    }

    #[test]
    fn odd_paths_do_not_panic() {
        let r = router(&["/*", "/a/{b}"]);
        for path in ["", "*", "a", "//", "///", "/a//", "/%", "/a/%F0%9F"] {
            assert!(matches!(r.find("GET", path), Lookup::Found(_)), "{path}");
        }
    }
}
