//! Results that others have published (FACTS.md, section 6): simulated here from the same parameters. A published figure
//! that comes from one run of another simulator is met within three standard deviations of the difference of two runs.

use super::super::analytic;
use super::{of, plan, point};

/// SimFaaS: no limits, Poisson arrivals, exponential service, and a cold request's service includes its start.
fn simfaas(rate: &str, warm: &str, cold: &str, keep_alive: &str, horizon: &str, replications: u32) -> String {
    format!(
        "horizon = \"{horizon}\"\nreplications = {replications}\n[limits]\nprovider = false\n[workload]\nrate = \"{rate}\"\n\
         [functions.f]\nservice = {{ exponential = \"{warm}\" }}\ncold_service = {{ exponential = \"{cold}\" }}\n\
         cold_start = \"none\"\nkeep_alive = \"{keep_alive}\"\n"
    )
}

#[track_caller]
fn near(what: &str, came: f64, published: f64, deviation: f64) {
    let off = (came - published).abs() / deviation;
    assert!(off < 3.0, "{what}: {came} is {off:.1} deviations from {published}");
}

/// FACTS 6A: means and deviations of one run, of eight independent runs of SimFaaS.
#[test]
fn simfaas_steady_state() {
    let point = point(&simfaas("0.9/s", "1.991s", "2.244s", "600s", "1000000s", 1));
    for (name, published, deviation) in [
        ("cold_share", 0.001_339, 3.3e-5),
        ("instances_mean", 7.703, 0.020),
        ("running_mean", 1.7914, 0.003),
        ("life_s", 6_417.0, 153.0),
    ] {
        near(name, of(&point, name).mean, published, deviation);
    }
    let idle = of(&point, "instances_mean").mean - of(&point, "running_mean").mean;
    near("idle", idle, 5.912, 0.020);
}

/// FACTS 6A: single runs of SimFaaS over 100,000 s. Deviations of one run are those of emu's own runs (eight for the first
/// two, forty for the others); the difference of two such runs spreads by the square root of two more.
#[test]
fn simfaas_expiry_sweep() {
    let sweep = [
        ("10s", 0.023_818, 1.66e-4, 28.65, 0.0392),
        ("60s", 0.003_666, 6.6e-5, 33.12, 0.0440),
        ("600s", 0.000_338, 1.57e-5, 37.66, 0.142),
        ("1200s", 0.000_149, 1.02e-5, 38.52, 0.159),
        ("1800s", 0.000_137, 6.8e-6, 39.56, 0.179),
    ];
    let two = std::f64::consts::SQRT_2;
    for (keep_alive, cold, cold_deviation, servers, servers_deviation) in sweep {
        let point = point(&simfaas("10/s", "2.016s", "2.163s", keep_alive, "100000s", 1));
        near(keep_alive, of(&point, "cold_share").mean, cold, cold_deviation * two);
        near(
            keep_alive,
            of(&point, "instances_mean").mean,
            servers,
            servers_deviation * two,
        );
    }
}

/// FACTS 6A: with a cap and no spare instance a fleet is a loss system, whatever the distribution of its service.
#[test]
fn refusals_at_the_cap_are_erlangs() {
    let text = simfaas("1000/s", "2.016s", "2.163s", "600s", "60s", 20);
    let point = point(&format!("warmup = \"20s\"\n{text}max_concurrency = 1000\n"));
    let refused = of(&point, "refused_share");
    let exact = analytic::erlang_b(2_016.0, 1_000);
    assert_eq!(format!("{exact:.5}"), "0.50445");
    let half = refused.half_width.expect("twenty replications");
    assert!(
        (refused.mean - exact).abs() < half,
        "{} is not {exact} within {half}",
        refused.mean
    );
    assert!(half < 0.002, "the interval is worth something: {half}");
}

/// FACTS 6B: the model's cold share is an approximation, 11% below the simulated one; servers are within 2%.
#[test]
fn the_markov_model_is_near_what_is_simulated() {
    let point = point(&simfaas("0.9/s", "1.991s", "2.244s", "600s", "400000s", 2));
    let model = analytic::steady(&analytic::Fleet {
        rate: 0.9,
        warm_s: 1.991,
        cold_s: 2.244,
        keep_alive_s: 600.0,
    });
    let off = |name: &str, model: f64| (of(&point, name).mean / model - 1.0).abs();
    assert!(
        off("instances_mean", model.servers) < 0.025,
        "{}",
        of(&point, "instances_mean").mean
    );
    assert!(
        off("running_mean", model.running) < 0.02,
        "{}",
        of(&point, "running_mean").mean
    );
    assert!(
        off("cold_share", model.cold_share) < 0.2,
        "{}",
        of(&point, "cold_share").mean
    );
}

/// The cost of a million simulated requests is what SeBS's Table 6 says (FACTS 6D): 0.2125 GB-s at no request fee.
#[test]
fn a_million_requests_cost_what_sebs_says() {
    // 1 GB for 212.5 ms, rounded up by a millisecond: 0.213 GB-s, and the fee of $0.20 a million.
    let text = "horizon = \"1000s\"\nreplications = 1\n[workload]\npattern = \"uniform\"\nrate = \"1/s\"\n\
                [functions.f]\nservice = \"212.5ms\"\ncold_start = \"none\"\nmemory = \"1GB\"\n";
    let million = of(&point(text), "cost_million_dollars").mean;
    let expected = 0.213 * 0.000_016_666_7 * 1e6 + 0.2;
    assert!((million / expected - 1.0).abs() < 1e-6, "{million} is not {expected}");
    let plan = plan(text);
    assert!(plan.scene.by_lanes());
}
