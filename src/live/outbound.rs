//! Requests of functions to the outside that somebody else than the network answers: the user's own mock of a host, or answers
//! that a test file holds. `allow_hosts` holds all the same: what a function may not reach, nobody answers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;

use crate::engine::{OutsideAnswer, OutsideRoute};
use crate::project::testfile::pattern;

/// Who answers requests to the outside.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Hosts, maybe with a port, and where requests to them go instead.
    pub hosts: Vec<(String, http::uri::Authority)>,
    /// `None`: whatever no host stands for goes over the network.
    pub answers: Option<Answers>,
}

/// Answers in place of the network.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    pub list: Vec<Held>,
    /// What no answer is for goes over the network and is kept; else it is refused.
    pub record: bool,
}

/// An answer to requests for an address.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    pub method: String,
    /// Absolute. `[..]` in it stands for anything.
    pub url: String,
    pub answer: OutsideAnswer,
}

/// The same at work.
pub struct Table {
    hosts: Vec<(String, http::uri::Authority)>,
    answers: Option<Mutex<State>>,
}

struct State {
    answers: Answers,
    /// How often each has answered.
    given: Vec<usize>,
    recorded: Vec<Held>,
}

impl Table {
    pub fn new(outside: Outside) -> Table {
        Table {
            hosts: outside.hosts,
            answers: outside.answers.map(|answers| {
                Mutex::new(State {
                    given: vec![0; answers.list.len()],
                    answers,
                    recorded: Vec::new(),
                })
            }),
        }
    }

    fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who answers this request.
    pub fn route(&self, method: &Method, url: &str, host: &str, port: u16) -> OutsideRoute {
        let with_port = format!("{host}:{port}");
        let known = self.hosts.iter().find(|(name, _)| *name == host || *name == with_port);
        if let Some((_, to)) = known {
            return OutsideRoute::To(to.clone());
        }
        let Some(state) = &self.answers else {
            return OutsideRoute::Network { record: false };
        };
        let mut state = Table::lock(state);
        let fits = |held: &Held| held.method == method.as_str() && pattern::fits(&held.url, url);
        let State { answers, given, .. } = &mut *state;
        let fitting: Vec<usize> = (0..answers.list.len()).filter(|at| fits(&answers.list[*at])).collect();
        // Several for the same request answer in turn, the last one from then on.
        let next = fitting.iter().find(|at| given[**at] == 0).or(fitting.last());
        match next {
            Some(at) => {
                given[*at] += 1;
                OutsideRoute::Answer(answers.list[*at].answer.clone())
            }
            None if answers.record => OutsideRoute::Network { record: true },
            None => OutsideRoute::Refused(format!(
                "nothing answers {method} {url} in this test: add [[outbound]] with url = \"{method} {url}\" to the test file, \
                 or let `emu test --record` write what the network answers"
            )),
        }
    }

    /// Keeps what the network has answered.
    pub fn keep(&self, method: &Method, url: &str, answer: OutsideAnswer) {
        if let Some(state) = &self.answers {
            let held = Held {
                method: method.to_string(),
                url: url.to_owned(),
                answer,
            };
            Table::lock(state).recorded.push(held);
        }
    }

    /// What the network has answered, in the order of its answers.
    pub fn recorded(&self) -> Vec<Held> {
        self.answers
            .as_ref()
            .map(|state| Table::lock(state).recorded.clone())
            .unwrap_or_default()
    }
}

/// `api.example.com=http://127.0.0.1:9000`
///
/// # Errors
/// What is wrong with it.
pub fn parse_host(text: &str) -> Result<(String, http::uri::Authority), String> {
    let (host, to) = text
        .split_once('=')
        .filter(|(host, _)| !host.is_empty())
        .ok_or_else(|| format!("{text:?} names no mock: write it as api.example.com=http://127.0.0.1:9000"))?;
    let uri: http::Uri = to.parse().map_err(|error| format!("{to:?} is no address: {error}"))?;
    if uri.scheme_str() != Some("http") || uri.path() != "/" || uri.query().is_some() {
        return Err(format!(
            "{to:?}: a mock is a plain http address without a path, such as http://127.0.0.1:9000"
        ));
    }
    match uri.authority() {
        Some(authority) => Ok((host.to_ascii_lowercase(), authority.clone())),
        None => Err(format!("{to:?} names no host")),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;

    fn held(url: &str, body: &str) -> Held {
        Held {
            method: "GET".into(),
            url: url.into(),
            answer: OutsideAnswer {
                status: StatusCode::OK,
                headers: http::HeaderMap::new(),
                body: Bytes::from(body.to_owned()),
            },
        }
    }

    fn body(route: &OutsideRoute) -> &[u8] {
        match route {
            OutsideRoute::Answer(answer) => &answer.body,
            _ => b"no answer",
        }
    }

    #[test]
    fn answers_come_in_turn_and_the_last_one_stays() {
        let table = Table::new(Outside {
            hosts: Vec::new(),
            answers: Some(Answers {
                list: vec![
                    held("http://a/x", "1"),
                    held("http://a/x", "2"),
                    held("http://a/[..]?q=[..]", "3"),
                ],
                record: false,
            }),
        });
        let ask = |url: &str| table.route(&Method::GET, url, "a", 80);
        assert_eq!(body(&ask("http://a/x")), b"1");
        assert_eq!(body(&ask("http://a/x")), b"2");
        assert_eq!(body(&ask("http://a/x")), b"2");
        assert_eq!(body(&ask("http://a/y?q=1")), b"3");
        let OutsideRoute::Refused(text) = ask("http://a/z") else {
            panic!("answered")
        };
        assert!(text.contains("[[outbound]] with url = \"GET http://a/z\""), "{text}");
        assert!(matches!(
            table.route(&Method::POST, "http://a/x", "a", 80),
            OutsideRoute::Refused(_)
        ));
    }

    #[test]
    fn a_mock_stands_for_its_host() {
        let mock = parse_host("API.example.com=http://127.0.0.1:9000").expect("valid");
        let table = Table::new(Outside {
            hosts: vec![mock],
            answers: None,
        });
        let route = table.route(&Method::GET, "https://api.example.com/a", "api.example.com", 443);
        assert!(matches!(route, OutsideRoute::To(to) if to == "127.0.0.1:9000"));
        let route = table.route(&Method::GET, "https://other/a", "other", 443);
        assert!(matches!(route, OutsideRoute::Network { record: false }));
        for wrong in ["a", "=http://b", "a=https://b", "a=http://b/c", "a=b c"] {
            assert!(parse_host(wrong).is_err(), "{wrong}");
        }
    }
}
