//! The head of a session: what is served where, then the ready line.

use crate::live::api;
use crate::report::number::{millis, plural};
use crate::report::sanitize::line as safe;
use crate::report::style::{Style, Tone, day_and_time};
use crate::report::table::{pad, width};

/// What `emu dev` serves, as the live part tells it.
#[derive(Clone, Debug, Default)]
pub struct Served {
    pub functions_url: String,
    pub control_url: String,
    pub functions: Vec<api::Function>,
    pub queues: Vec<api::Queue>,
    pub topics: Vec<api::Topic>,
}

/// The table of functions, queues and topics; empty lines around it.
pub fn table(served: &Served, style: &Style) -> String {
    let mut rows: Vec<(String, Vec<(Tone, String)>)> = Vec::new();
    for function in &served.functions {
        rows.push((
            safe(&function.name).into_owned(),
            reached_by(function, &served.functions_url),
        ));
    }
    let name_width = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let mut out = String::from("\n");
    for (name, ways) in &rows {
        let mut name = style.paint(Tone::Strong, &pad(name, name_width));
        for (tone, way) in ways {
            out.push_str(&format!("  {name}  {}\n", style.paint(*tone, way)));
            name = " ".repeat(name_width);
        }
    }
    let queues = served.queues.iter().map(queue);
    let topics = served.topics.iter().map(topic);
    for (title, lines) in [("queues", queues.collect::<Vec<_>>()), ("topics", topics.collect())] {
        if !lines.is_empty() {
            out.push_str(&format!("\n  {}\n", style.paint(Tone::Dim, title)));
            for line in lines {
                out.push_str(&format!("  {line}\n"));
            }
        }
    }
    out.push('\n');
    out
}

/// The line that says that requests are answered now. Stable: scripts wait for it.
pub fn ready_line(served: &Served, startup_ms: f64, style: &Style) -> String {
    format!(
        "{} in {}  functions {}  control {}\n",
        style.paint(Tone::Good, "emu ready"),
        whole(startup_ms),
        served.functions_url,
        served.control_url
    )
}

/// `48 ms`: start-up times without decimals below a second.
fn whole(ms: f64) -> String {
    if ms < 999.5 {
        format!("{:.0} ms", ms.max(0.0))
    } else {
        millis(ms)
    }
}

/// One line for each way that leads to the function, and one for what stands in the way.
fn reached_by(function: &api::Function, functions_url: &str) -> Vec<(Tone, String)> {
    let mut ways = Vec::new();
    for route in &function.routes {
        // The default route is a path and all below it: one line says both.
        if route
            .strip_suffix("/*")
            .is_some_and(|above| function.routes.iter().any(|route| route == above))
        {
            continue;
        }
        ways.push((Tone::Info, safe(&route_url(route, functions_url)).into_owned()));
    }
    if function.routes.is_empty() {
        ways.extend(function.urls.iter().map(|url| (Tone::Info, safe(url).into_owned())));
    }
    for cron in &function.crons {
        let zone = if cron.timezone == "UTC" {
            String::new()
        } else {
            format!(" {}", safe(&cron.timezone))
        };
        let next = cron
            .next
            .first()
            .map(|at| format!(", next {}", day_and_time(at)))
            .unwrap_or_default();
        ways.push((Tone::Plain, format!("cron {}{zone}{next}", safe(&cron.schedule))));
    }
    if let Some(queue) = &function.queue {
        ways.push((Tone::Plain, format!("queue {}", safe(queue))));
    }
    if let Some(topic) = &function.topic {
        ways.push((Tone::Plain, format!("topic {}", safe(topic))));
    }
    if function.error.is_some() {
        let what = match function.version {
            Some(version) => format!("does not build, version {version} serves"),
            None => "does not build".to_owned(),
        };
        ways.push((Tone::Bad, what));
    }
    if ways.is_empty() {
        ways.push((Tone::Dim, format!("only by `emu invoke {}`", safe(&function.name))));
    }
    ways
}

/// `GET /orders` becomes `GET http://127.0.0.1:3680/orders`.
fn route_url(route: &str, functions_url: &str) -> String {
    match route.split_once(' ') {
        Some(("ANY", path)) => format!("{functions_url}{path}"),
        Some((method, path)) => format!("{method} {functions_url}{path}"),
        None => format!("{functions_url}{route}"),
    }
}

fn queue(queue: &api::Queue) -> String {
    let mut line = safe(&queue.name).into_owned();
    if let Some(consumer) = &queue.consumer {
        line.push_str(&format!(" -> {}", safe(consumer)));
    }
    let mut notes = Vec::new();
    if queue.fifo {
        notes.push("fifo".to_owned());
    }
    if let Some(dead_letter) = &queue.dead_letter {
        let after = queue.max_receives.map(|n| format!(" after {n}")).unwrap_or_default();
        notes.push(format!("dead letters to {}{after}", safe(dead_letter)));
    }
    if queue.visible > 0 {
        notes.push(plural(queue.visible, "message", "messages"));
    }
    if !notes.is_empty() {
        line.push_str(&format!(" ({})", notes.join(", ")));
    }
    line
}

fn topic(topic: &api::Topic) -> String {
    let to: Vec<String> = topic.subscriptions.iter().map(|s| safe(s).into_owned()).collect();
    if to.is_empty() {
        format!("{} (nobody listens)", safe(&topic.name))
    } else {
        format!("{} -> {}", safe(&topic.name), to.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::list::{sample_function as function, sample_queue as queue_state};

    fn functions() -> Vec<api::Function> {
        let cron = api::CronState {
            name: "report".to_owned(),
            function: "report".to_owned(),
            schedule: "0 8 * * 1-5".to_owned(),
            timezone: "America/Sao_Paulo".to_owned(),
            overlap: "skip".to_owned(),
            next: vec!["2026-11-23T08:00:00-03:00".to_owned()],
            last: None,
        };
        let mut api = function("api");
        api.routes = ["GET /products/{id}", "ANY /api", "ANY /api/*"]
            .map(str::to_owned)
            .to_vec();
        let mut billing = function("billing");
        billing.queue = Some("orders".to_owned());
        billing.version = None;
        billing.error = Some("no".to_owned());
        let mut report = function("report");
        report.crons = vec![cron];
        vec![api, billing, report, function("tool")]
    }

    fn queues() -> Vec<api::Queue> {
        let mut orders = queue_state("orders");
        orders.consumer = Some("billing".to_owned());
        orders.dead_letter = Some("orders-dead".to_owned());
        orders.max_receives = Some(3);
        let mut dead = queue_state("orders-dead");
        dead.visible = 2;
        dead.fifo = true;
        vec![orders, dead]
    }

    #[test]
    fn everything_a_project_serves() {
        let served = Served {
            functions_url: "http://127.0.0.1:3680".to_owned(),
            control_url: "http://127.0.0.1:3681".to_owned(),
            functions: functions(),
            queues: queues(),
            topics: vec![api::Topic {
                name: "signup".to_owned(),
                subscriptions: vec!["function:welcome".to_owned(), "queue:audit".to_owned()],
            }],
        };
        let expect = "
  api      GET http://127.0.0.1:3680/products/{id}
           http://127.0.0.1:3680/api
  billing  queue orders
           does not build
  report   cron 0 8 * * 1-5 America/Sao_Paulo, next Mon 23 Nov 08:00 -03:00
  tool     only by `emu invoke tool`

  queues
  orders -> billing (dead letters to orders-dead after 3)
  orders-dead (fifo, 2 messages)

  topics
  signup -> function:welcome, queue:audit

";
        assert_eq!(table(&served, &Style::default()), expect);
        assert_eq!(
            ready_line(&served, 48.2, &Style::default()),
            "emu ready in 48 ms  functions http://127.0.0.1:3680  control http://127.0.0.1:3681\n"
        );
    }
}
