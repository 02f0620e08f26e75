//! Files that are read, and what is said of those that are wrong.

use std::path::Path;

use super::super::Load;
use super::super::workload::Pattern;
use super::*;

fn plan(text: &str, sets: &[&str]) -> Result<Plan, String> {
    let sets: Vec<Override> = sets
        .iter()
        .map(|set| Override::parse(set).expect("a key and a value"))
        .collect();
    read(Path::new("a.sim.toml"), text, &sets).map_err(|problems| problems.render(false))
}

const PLAIN: &str = "[workload]\nrate = \"10/s\"\n\n[functions.api]\nservice = \"120ms\"\n";

fn rate_of(plan: &Plan) -> f64 {
    match &plan.scene.functions[0].load {
        Load::Pattern(Pattern::Poisson { rate }) => *rate,
        _ => panic!("a Poisson workload"),
    }
}

#[test]
fn a_few_lines_are_enough() {
    let plan = plan(PLAIN, &[]).expect("a plan");
    assert_eq!(
        (plan.name.as_str(), plan.seed, plan.replications),
        ("a.sim.toml", 1, 10)
    );
    assert_eq!(rate_of(&plan), 10.0);
}

#[test]
fn set_values_win_and_find_their_table() {
    let sets = [
        "rate=5/m",
        "seed=7",
        "memory=1GB",
        "functions.api.keep_alive=1m",
        "rate=6/m",
    ];
    let plan = plan(PLAIN, &sets).expect("a plan");
    assert_eq!(plan.seed, 7);
    assert_eq!(rate_of(&plan), 0.1);
    assert_eq!(plan.scene.spec(0).memory_mb, 1_024);
}

#[test]
fn mistakes_are_pointed_at() {
    let cases: [(&str, &str, &str); 9] = [
        (
            "[workload]\nrate = 10\n[functions.a]\nservice = \"1s\"\n",
            "found a bare number",
            "a.sim.toml:2:8",
        ),
        (
            "[workload]\nrate = \"10/s\"\n[functions.a]\nservise = \"1s\"\n",
            "did you mean `service`?",
            "a.sim.toml:4:1",
        ),
        (
            "[workload]\nrate = \"10/s\"\n[functions.a]\n",
            "`service` is missing",
            "a.sim.toml:3:12",
        ),
        (
            "[workload]\npattern = \"posson\"\n[functions.a]\nservice = \"1s\"\n",
            "did you mean `poisson`?",
            "a.sim.toml:2:11",
        ),
        (
            "[workload]\npattern = \"spike\"\nrate = \"1/s\"\n[functions.a]\nservice = \"1s\"\n",
            "needs `peak`",
            "a.sim.toml:1:1",
        ),
        (
            "[workload]\nrate = \"1/s\"\nsize = 3\n[functions.a]\nservice = \"1s\"\n",
            "has no use for `size`",
            "a.sim.toml:3:8",
        ),
        (
            "[functions.a]\nservice = \"1s\"\n",
            "nothing says when requests for `a` come",
            "a.sim.toml:1:12",
        ),
        (
            "[workload]\nrate = \"1/s\"\n[servers.a]\nservice = \"1s\"\n",
            "what an hour of `a` costs",
            "a.sim.toml:3:10",
        ),
        ("seed = 1\n", "nothing to simulate", ""),
    ];
    for (text, said, place) in cases {
        let problems = plan(text, &[]).err().unwrap_or_else(|| panic!("{text} is read"));
        assert!(
            problems.contains(said) && problems.contains(place),
            "{text}\n{problems}"
        );
    }
    let problems = plan(PLAIN, &["memory=1XB"]).err().expect("no such unit");
    assert!(
        problems.contains("a.sim.toml:6:24") && problems.contains("the unknown unit `xb`"),
        "{problems}"
    );
}
