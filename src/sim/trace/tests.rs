//! Traces of every format, small ones written by hand and synthetic ones.

use std::path::{Path, PathBuf};

use super::super::random::Seeds;
use super::super::workload::Arrivals;
use super::synthetic::{Format, Wanted};
use super::*;

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

fn of(requests: Vec<PathBuf>) -> Files {
    Files {
        requests,
        functions_max: usize::MAX,
        ..Files::default()
    }
}

/// Every request: when in milliseconds, which function, how long in milliseconds.
fn all(trace: &Trace) -> Vec<(u64, u32, Option<u64>)> {
    rest(trace.source.open(0, SEEDS))
}

const SEEDS: Seeds = Seeds {
    seed: 1,
    replication: 0,
};

fn rest(mut stream: Box<dyn Arrivals + Send>) -> Vec<(u64, u32, Option<u64>)> {
    let mut came = Vec::new();
    while stream.next_at() < crate::platform::time::Time::NEVER {
        let at = stream.next_at();
        let arrival = stream.take();
        came.push((
            at.0 / 1_000_000,
            arrival.function,
            arrival.service.map(|span| span.0 / 1_000_000),
        ));
    }
    came
}

#[test]
fn azure_2021_arrives_at_its_end_less_its_duration_whatever_the_order_of_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "app,func,end_timestamp,duration\na,f,100.0,0.5\nb,g,101.0,50.0\na,f,102.0,0.25\nb,h,102.5,52.5\n";
    let trace = open(&of(vec![file(folder.path(), "t.txt", text)])).expect("a trace");
    let names: Vec<&str> = trace.functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!((names.as_slice(), trace.requests), (&["a/f", "b/g", "b/h"][..], 4));
    assert_eq!(trace.lasts, Span::from_millis(52_500));
    assert_eq!(
        all(&trace),
        [
            (0, 2, Some(52_500)),
            (1_000, 1, Some(50_000)),
            (49_500, 0, Some(500)),
            (51_750, 0, Some(250))
        ]
    );
}

#[test]
fn plain_rows_need_no_duration() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = file(
        folder.path(),
        "t.csv",
        "function,time\nf,1700000000\ng,1700000003.5\nf,1700000001\n",
    );
    let mut files = of(vec![plain]);
    let trace = open(&files).expect("a trace");
    assert_eq!(all(&trace), [(0, 0, None), (1_000, 0, None), (3_500, 1, None)]);
    files.functions_max = 1;
    let fewer = open(&files).expect("a trace");
    assert_eq!((fewer.functions.len(), fewer.requests, all(&fewer).len()), (1, 2, 2));
}

fn minutes(counts: &[(usize, u32)]) -> String {
    let cell = |minute| {
        counts
            .iter()
            .find(|(at, _)| *at == minute)
            .map_or(0, |(_, count)| *count)
    };
    (1..=1_440).map(|minute| format!(",{}", cell(minute))).collect()
}

#[test]
fn azure_2019_spreads_each_minutes_count_over_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let heading: String = (1..=1_440).map(|minute| format!(",{minute}")).collect();
    let day = |rows: &[(&str, &[(usize, u32)])]| {
        let rows = rows
            .iter()
            .map(|(name, counts)| format!("o,a,{name},http{}\n", minutes(counts)));
        format!(
            "HashOwner,HashApp,HashFunction,Trigger{heading}\n{}",
            rows.collect::<String>()
        )
    };
    let first = file(
        folder.path(),
        "d01.csv",
        &day(&[("f", &[(1, 3), (61, 2)]), ("g", &[(1_440, 1)])]),
    );
    let second = file(folder.path(), "d02.csv", &day(&[("g", &[(2, 4)]), ("h", &[])]));
    let percentiles = "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,percentile_Average_1,\
                       percentile_Average_25,percentile_Average_50,percentile_Average_75,percentile_Average_99,percentile_Average_100\n\
                       o,a,g,20,5,10,90,10,11,15,20,25,80,90\n";
    let mb = "HashOwner,HashApp,SampleCount,AverageAllocatedMb,AverageAllocatedMb_pct100\no,a,9,100,150.5\n";
    let files = Files {
        durations: vec![file(folder.path(), "durations.csv", percentiles)],
        memory: vec![file(folder.path(), "memory.csv", mb)],
        ..of(vec![first, second])
    };
    let trace = open(&files).expect("a trace");
    assert_eq!((trace.functions.len(), trace.requests), (3, 10));
    assert_eq!(trace.lasts, Span::from_secs(2 * 86_400));
    assert_eq!(trace.functions[0].service, None);
    let g = &trace.functions[1];
    assert_eq!((g.name.as_str(), g.memory_mb), ("a/g", Some(151)));
    let mean_s = g.service.as_ref().map_or(0.0, Distribution::mean_s);
    assert!((0.02..0.04).contains(&mean_s), "{mean_s}");
    let came: Vec<(u64, u32)> = all(&trace)
        .into_iter()
        .map(|(ms, function, _)| (ms / 60_000, function))
        .collect();
    let expect = [
        (0, 0),
        (0, 0),
        (0, 0),
        (60, 0),
        (60, 0),
        (1_439, 1),
        (1_441, 1),
        (1_441, 1),
        (1_441, 1),
        (1_441, 1),
    ];
    assert_eq!(came, expect);
    // Each function alone has the same requests at the same times.
    let mut alone: Vec<(u64, u32, Option<u64>)> = Vec::new();
    for function in 0..3 {
        alone.extend(rest(trace.source.open_one(function, SEEDS).expect("it opens one")));
    }
    alone.sort_unstable();
    assert_eq!(alone, all(&trace));
}

#[test]
fn mistakes_are_named_with_their_line() {
    let folder = tempfile::tempdir().expect("a folder");
    for (text, said) in [
        ("when,what\n1,f\n", "t.csv:1: the heading is none of"),
        (
            "time,function,duration\n1,f,0.1\nx,f,0.1\n",
            "t.csv:3: `x` is no time in seconds",
        ),
        ("time,function,duration\n1,f,-1\n", "a duration is below zero"),
        ("time,function,duration\n1,f\n", "has 2 cells where the heading has 3"),
        ("time,function,duration\n", "there is no request in it"),
        ("app,func,end_timestamp\na,f,1\n", "the heading lacks `duration`"),
    ] {
        let path = file(folder.path(), "t.csv", text);
        let said_of = open(&of(vec![path]))
            .err()
            .map(|fault| fault.to_string())
            .unwrap_or_default();
        assert!(said_of.contains(said), "{text}: {said_of}");
    }
    let missing = open(&of(vec![folder.path().join("none.csv")]))
        .err()
        .map(|fault| fault.to_string());
    assert!(missing.unwrap_or_default().contains("cannot be read"));
}

#[test]
fn synthetic_traces_are_read_again_and_have_the_published_shares() {
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = Wanted {
        format: Format::Azure2019,
        functions: 2_000,
        days: 1,
        requests_day: 36_000_000,
        seed: 3,
    };
    let files = synthetic::write(&wanted, folder.path()).expect("files");
    assert_eq!(files.len(), 3);
    let text = std::fs::read_to_string(&files[0]).expect("text");
    let (mut of_trigger, mut often, mut seldom, mut total) = ([(0u64, 0u64); 2], 0u64, 0u64, 0u64);
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        assert!(cells[..3].iter().all(|name| name.starts_with("synthetic-")), "{line}");
        let sum: u64 = cells[4..]
            .iter()
            .map(|count| count.parse::<u64>().expect("a count"))
            .sum();
        for (shares, trigger) in of_trigger.iter_mut().zip(["http", "queue"]) {
            if cells[3] == trigger {
                *shares = (shares.0 + 1, shares.1 + sum);
            }
        }
        total += sum;
        often += if sum > 1_300 { sum } else { 0 };
        seldom += u64::from(sum <= 24);
    }
    let near = |part: u64, whole: u64, percent: f64, within: f64| {
        let came = part as f64 / whole as f64 * 100.0;
        assert!((came - percent).abs() < within, "{came} rather than {percent}");
    };
    near(total, wanted.requests_day, 100.0, 2.0);
    near(of_trigger[0].0, 2_000, 55.0, 3.0);
    near(of_trigger[0].1, total, 35.9, 1.5);
    near(of_trigger[1].1, total, 33.5, 1.5);
    near(often, total, 99.5, 0.5);
    near(seldom, 2_000, 45.0, 5.0);
    let trace = open(&Files {
        durations: vec![files[1].clone()],
        memory: vec![files[2].clone()],
        ..of(vec![files[0].clone()])
    });
    let trace = trace.expect("a trace");
    assert_eq!(trace.requests, total);
    let below = trace
        .functions
        .iter()
        .filter(|function| function.service.as_ref().is_some_and(|service| service.mean_s() < 1.0));
    near(below.count() as u64, 2_000, 50.0, 4.0);
}

#[test]
fn synthetic_rows_are_in_order_and_the_same_for_the_same_seed() {
    let folder = tempfile::tempdir().expect("a folder");
    for format in [Format::Azure2021, Format::Plain] {
        let wanted = Wanted {
            format,
            functions: 40,
            days: 1,
            requests_day: 20_000,
            seed: 5,
        };
        let files = synthetic::write(&wanted, folder.path()).expect("files");
        let text = std::fs::read_to_string(&files[0]).expect("text");
        let trace = open(&of(files.clone())).expect("a trace");
        let came = all(&trace);
        assert_eq!(came.len() as u64, trace.requests);
        assert!(came.is_sorted_by_key(|(at, ..)| *at) && came.iter().all(|(_, _, took)| took.is_some()));
        synthetic::write(&wanted, folder.path()).expect("files");
        assert_eq!(std::fs::read_to_string(&files[0]).expect("text"), text);
    }
}
