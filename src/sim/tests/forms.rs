//! What can be computed: simulations must come out at it.

use super::super::analytic;
use super::{of, plan, point};

/// With negligible service a request is cold when none came for the keep-alive, and each keeps an instance idle for
/// (1 - e^(-lambda T)) / lambda (FACTS 6, closed forms).
#[test]
fn cold_share_and_idle_time_of_short_functions() {
    let point = point(
        "horizon = \"20000s\"\nreplications = 8\n[limits]\nprovider = false\n[workload]\nrate = \"0.5/s\"\n\
         [functions.f]\nservice = \"1us\"\ncold_start = \"none\"\nkeep_alive = \"2s\"\n",
    );
    let cold = of(&point, "cold_share");
    let expected = analytic::cold_share(0.5, 2.0);
    assert!(
        (cold.mean - expected).abs() < 2.0 * cold.half_width.expect("eight"),
        "{cold:?} is not {expected}"
    );
    let idle = of(&point, "instances_mean").mean * 20_000.0 / of(&point, "requests").mean;
    let expected = analytic::idle_a_request(0.5, 2.0);
    assert!((idle / expected - 1.0).abs() < 0.02, "{idle} is not {expected}");
}

/// Little's law: the mean number under way is the rate times the mean time, exactly but for those under way at the edges.
#[test]
fn littles_law_holds() {
    for extra in ["", "concurrency = 4\n", "max_concurrency = 3\n", "min_instances = 2\n"] {
        let text = format!(
            "horizon = \"2000s\"\nreplications = 1\n[workload]\nrate = \"5/s\"\n[functions.f]\n\
             service = {{ median = \"300ms\", p99 = \"2s\" }}\nkeep_alive = \"20s\"\n{extra}"
        );
        let came = super::alone(&plan(&text), 0);
        let sums = &came.functions[0].measured.sums;
        let (running, latency) = (sums.running_ns as f64, sums.latency_ns as f64);
        if extra.starts_with("concurrency") {
            // Several requests share the time of an instance.
            assert!(running < latency, "{extra}");
        } else {
            // Provisioned instances start without a request.
            assert!(
                (running / latency - 1.0).abs() < 0.01,
                "{extra}: {running} is not {latency}"
            );
        }
    }
}

/// M/M/c: latency by Erlang's C formula; M/M/1/3: a full line refuses.
#[test]
fn servers_queue_as_erlang_says() {
    for (rate, workers) in [(0.8, 1u32), (3.0, 4)] {
        let point = point(&format!(
            "horizon = \"20000s\"\nwarmup = \"200s\"\nreplications = 8\n[workload]\nrate = \"{rate}/s\"\n\
             [servers.s]\ntype = \"t4g.small\"\nworkers = {workers}\nqueue = 100000\nservice = {{ exponential = \"1s\" }}\n"
        ));
        let latency = point.servers[0].figures["latency_mean_ms"];
        let expected = analytic::mean_latency(rate, 1.0, workers).expect("stable") * 1e3;
        let half = latency.half_width.expect("eight replications");
        assert!(
            (latency.mean - expected).abs() < 1.5 * half,
            "{latency:?} is not {expected}"
        );
        assert!(half / expected < 0.15, "the interval is worth something: {half}");
        let busy = point.servers[0].figures["utilisation"].mean;
        assert!((busy - rate / f64::from(workers)).abs() < 0.02, "{busy}");
    }
    let point = point(
        "horizon = \"20000s\"\nreplications = 8\n[workload]\nrate = \"2/s\"\n\
         [servers.s]\nhourly = \"$1\"\nqueue = 2\nservice = { exponential = \"1s\" }\n",
    );
    // One at work and two in line: (1 - r) r^3 / (1 - r^4) with r = 2.
    let refused = point.servers[0].figures["refused_share"].mean;
    assert!((refused - 8.0 / 15.0).abs() < 0.01, "{refused}");
    assert!((point.servers[0].figures["cost_month_dollars"].mean - 730.0).abs() < 1e-9);
}

/// A machine dies: what it worked on is lost, the other goes on.
#[test]
fn an_outage_loses_what_ran_and_comes_to_an_end() {
    let text = |count: u32| {
        format!(
            "horizon = \"1000s\"\nreplications = 1\n[workload]\npattern = \"uniform\"\nrate = \"1/s\"\n[servers.s]\n\
             hourly = \"$1\"\ncount = {count}\nqueue = 0\nservice = \"900ms\"\noutages = [{{ at = \"500.5s\", lasts = \"100s\" }}]\n"
        )
    };
    let one = point(&text(1)).servers[0].figures.clone();
    assert!((one["failed_share"].mean * 1_000.0 - 1.0).abs() < 0.01, "{one:?}");
    assert!((one["refused_share"].mean - 0.1).abs() < 0.002, "{one:?}");
    let two = point(&text(2)).servers[0].figures.clone();
    assert_eq!(two["refused_share"].mean, 0.0);
}

/// A closed loop sends at most what its clients can: N = X (R + Z).
#[test]
fn a_closed_loop_obeys_the_response_time_law() {
    let point = point(
        "horizon = \"2000s\"\nwarmup = \"50s\"\nreplications = 4\n[limits]\nprovider = false\n[workload]\npattern = \"closed\"\n\
         clients = 20\nthink = { exponential = \"2s\" }\n[functions.f]\nservice = { exponential = \"500ms\" }\ncold_start = \"none\"\n",
    );
    let rate = of(&point, "requests").mean / 2_000.0;
    let clients = rate * (of(&point, "latency_mean_ms").mean / 1e3 + 2.0);
    assert!((clients / 20.0 - 1.0).abs() < 0.02, "{clients}");
}

/// Replications on several cores are those of one core, in their order.
#[test]
fn cores_do_not_show() {
    let plan = plan(
        "horizon = \"100s\"\nreplications = 5\n[workload]\nrate = \"20/s\"\n[functions.f]\nservice = { exponential = \"1s\" }\n",
    );
    let all = super::super::run(&plan.scene, plan.seed, 5, &|| ());
    for (came, replication) in all.iter().zip(0..) {
        let alone = super::alone(&plan, replication);
        assert_eq!(came.functions[0].measured.sums, alone.functions[0].measured.sums);
        assert_eq!(came.functions[0].usage, alone.functions[0].usage);
    }
    assert_ne!(all[0].functions[0].measured.sums, all[1].functions[0].measured.sums);
}

fn every_half_an_hour(keep_alive: &str) -> crate::report::simulation::Point {
    point(&format!(
        "horizon = \"10d\"\nwarmup = \"1d\"\nreplications = 1\n[limits]\nprovider = false\n[workload]\npattern = \"uniform\"\nrate = \"2/h\"\n[functions.f]\n\
         service = \"1s\"\ncold_start = \"100ms\"\nkeep_alive = {keep_alive}\n"
    ))
}

/// A timer every half an hour: a fixed time either is cold or idles all the time; the histogram is neither.
#[test]
fn the_histogram_is_ahead_of_a_timer() {
    let fixed = every_half_an_hour("\"20m\"");
    assert_eq!(of(&fixed, "cold_share").mean, 1.0);
    assert!((of(&fixed, "instances_mean").mean - 2.0 / 3.0).abs() < 0.01);
    let long = every_half_an_hour("\"1h\"");
    assert_eq!(
        (of(&long, "cold_share").mean, of(&long, "instances_mean").mean),
        (0.0, 1.0)
    );
    let hybrid = every_half_an_hour("{ policy = \"hybrid\" }");
    assert_eq!(of(&hybrid, "cold_share").mean, 0.0);
    // Bins are a minute wide: gaps of just less than half an hour are in the 29th, less a tenth.
    let idle = of(&hybrid, "instances_mean").mean * 30.0;
    assert!((3.0..5.0).contains(&idle), "{idle} minutes of thirty");
    let none = every_half_an_hour("\"none\"");
    assert_eq!(of(&none, "cold_share").mean, 1.0);
    assert!(of(&none, "instances_mean").mean < 0.001);
}

/// Three functions in memory for two instances: the one that starts slowly keeps its own.
#[test]
fn greedy_dual_keeps_what_is_dear() {
    let functions = [("dear", "2s"), ("cheap", "20ms"), ("other", "20ms")].map(|(name, cold_start)| {
        format!(
            "[functions.{name}]\nservice = \"10ms\"\ncold_start = \"{cold_start}\"\nmemory = \"256MB\"\n\
             keep_alive = {{ policy = \"greedy-dual\", memory = \"600MB\" }}\n"
        )
    });
    let point = point(&format!(
        "horizon = \"1d\"\nreplications = 1\n[limits]\nprovider = false\n[workload]\nrate = \"2/m\"\n{}",
        functions.concat()
    ));
    let cold = |at: usize| point.functions[at].figures["cold_share"].mean;
    assert!(
        cold(0) < 0.1 && cold(1) > 0.3 && cold(2) > 0.3,
        "{} {} {}",
        cold(0),
        cold(1),
        cold(2)
    );
}
