//! Traffic by an open-loop schedule: what `emu load` sends from outside, and what the dashboard's buttons start inside.

mod schedule;
mod tally;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use schedule::{Pattern, Schedule};
pub use tally::{Answer, Summary, Tally};

pub const RATE_MAX: f64 = 100_000.0;
const REQUESTS_MAX: f64 = 5_000_000.0;
/// A request without an answer for this long is an error.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// After the last request, answers are waited for this long.
const TAIL: Duration = Duration::from_secs(30);

/// How much is sent, when.
#[derive(Clone, Debug)]
pub struct Plan {
    pub pattern: Pattern,
    /// Requests a second.
    pub rate: f64,
    pub duration: Duration,
    /// Requests under way at once, at most.
    pub concurrency: usize,
}

impl Plan {
    /// # Errors
    /// What is too much.
    pub fn check(&self) -> Result<(), String> {
        if !(self.rate > 0.0 && self.rate <= RATE_MAX) {
            return Err(format!("rate {} is not between 0 and {RATE_MAX}", self.rate));
        }
        if self.rate * self.duration.as_secs_f64() * 2.0 > REQUESTS_MAX {
            return Err("this is more than 2,500,000 requests: lower rate or duration".to_owned());
        }
        Ok(())
    }
}

/// What is sent, again and again.
#[derive(Clone, Debug)]
pub struct Template {
    pub method: Method,
    pub uri: Uri,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

impl Template {
    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().extend(self.headers.iter().cloned());
        request
    }
}

pub fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends on time, waits for the answers.
pub async fn send_all(plan: &Plan, template: &Template, tally: &Arc<Mutex<Tally>>, begun: Instant) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let http: HttpClient<HttpConnector, Full<Bytes>> = HttpClient::builder(TokioExecutor::new())
        .pool_max_idle_per_host(plan.concurrency)
        .build(connector);
    let slots = Arc::new(Semaphore::new(plan.concurrency));
    let tasks = TaskTracker::new();
    for offset in Schedule::new(plan.pattern, plan.rate, plan.duration) {
        let due = begun + offset;
        // Timers are good to a millisecond: what is due within that leaves at once.
        if due.saturating_duration_since(Instant::now()) > Duration::from_millis(1) {
            tokio::time::sleep_until(due.into()).await;
        }
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            lock(tally).held_back += 1;
            continue;
        };
        lock(tally).sent += 1;
        let (http, request, tally) = (http.clone(), template.request(), tally.clone());
        tasks.spawn(async move {
            let answer = one(&http, request, due).await;
            lock(&tally).add(answer);
            drop(slot);
        });
    }
    tasks.close();
    let _ = tokio::time::timeout(TAIL, tasks.wait()).await;
}

async fn one(http: &HttpClient<HttpConnector, Full<Bytes>>, request: Request<Full<Bytes>>, due: Instant) -> Answer {
    let mut cold = None;
    let exchange = async {
        let response = http.request(request).await.map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            source.unwrap_or_else(|| error.to_string())
        })?;
        cold = response.headers().get("x-emu-start").map(|value| value == "cold");
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|error| format!("the answer broke off: {error}"))?;
        }
        Ok(status)
    };
    let status = tokio::time::timeout(ANSWER_TIMEOUT, exchange)
        .await
        .unwrap_or_else(|_| Err("no answer".to_owned()));
    Answer {
        status,
        cold,
        latency: due.elapsed(),
    }
}

/// Method and path of a function's first route, with something in the place of parameters. `None`: it has none.
pub fn first_route(routes: &[String]) -> Option<(Option<Method>, String)> {
    let route = routes.first()?;
    let (method, pattern) = route.split_once(' ').unwrap_or(("ANY", route));
    let method = (method != "ANY").then(|| method.parse().ok()).flatten();
    let segments: Vec<&str> = pattern
        .split('/')
        .map(|segment| match segment {
            "*" => "",
            segment if segment.starts_with('{') && segment.ends_with("+}") => "",
            segment if segment.starts_with('{') => "1",
            segment => segment,
        })
        .collect();
    let path = segments.join("/");
    let path = match path.starts_with('/') {
        true => path,
        false => format!("/{path}"),
    };
    Some((method, path))
}

/// The load that the emulator runs itself, one at a time.
#[derive(Clone, Default)]
pub struct Loads(Arc<Mutex<Option<Running>>>);

struct Running {
    target: String,
    plan: Plan,
    begun: Instant,
    tally: Arc<Mutex<Tally>>,
    stop: CancellationToken,
    /// Set at its end.
    took: Arc<Mutex<Option<Duration>>>,
}

/// Of the load that runs, or ran last.
pub struct Progress {
    pub running: bool,
    pub plan: Plan,
    pub elapsed: Duration,
    pub under_way: u64,
    pub target: String,
    pub tally: Tally,
}

impl Loads {
    /// `false`: one runs already.
    pub fn start(&self, plan: Plan, template: Template) -> bool {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(Running::goes_on) {
            return false;
        }
        let running = Running {
            target: format!("{} {}", template.method, template.uri.path()),
            plan: plan.clone(),
            begun: Instant::now(),
            tally: Arc::default(),
            stop: CancellationToken::new(),
            took: Arc::default(),
        };
        let (tally, stop) = (running.tally.clone(), running.stop.clone());
        let (begun, took) = (running.begun, running.took.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = send_all(&plan, &template, &tally, begun) => {}
                () = stop.cancelled() => {}
            }
            *took.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun.elapsed());
        });
        *current = Some(running);
        true
    }

    /// Ends the load that runs; its last requests are answered all the same.
    pub fn stop(&self) {
        if let Some(running) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            running.stop.cancel();
            let mut took = running.took.lock().unwrap_or_else(PoisonError::into_inner);
            took.get_or_insert(running.begun.elapsed());
        }
    }

    pub fn progress(&self) -> Option<Progress> {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = current.as_ref()?;
        let took = *running.took.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = lock(&running.tally).glance(took.is_some());
        Some(Progress {
            running: took.is_none(),
            plan: running.plan.clone(),
            elapsed: took.unwrap_or_else(|| running.begun.elapsed()),
            under_way: tally.sent.saturating_sub(tally.answered()),
            target: running.target.clone(),
            tally,
        })
    }
}

impl Running {
    fn goes_on(&self) -> bool {
        self.took.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(routes: &[&str], method: Option<Method>, path: &str) {
        let routes: Vec<String> = routes.iter().map(|route| (*route).to_owned()).collect();
        assert_eq!(first_route(&routes), Some((method, path.to_owned())), "{routes:?}");
    }

    #[test]
    fn routes_become_paths() {
        check(&["ANY /api", "GET /x"], None, "/api");
        check(&["POST /orders"], Some(Method::POST), "/orders");
        check(&["GET /products/{id}"], Some(Method::GET), "/products/1");
        check(&["ANY /*"], None, "/");
        check(&["ANY /files/{path+}"], None, "/files/");
        assert!(first_route(&[]).is_none());
    }
}
