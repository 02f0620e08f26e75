//! The bill as people and programs see it.

use std::sync::Arc;

use super::*;
use crate::platform::billing::{MeteredFunction, Used};
use crate::platform::time::Span;

const API: FunctionId = FunctionId(0);
const BILLING: FunctionId = FunctionId(1);
const UNUSED: FunctionId = FunctionId(2);

fn ledger(provider: &str) -> Ledger {
    let profile = provider::by_id(provider).expect("the profile exists");
    let mut ledger = Ledger::new(&profile);
    for (id, memory_mb) in [(API, 256), (BILLING, 128), (UNUSED, 128)] {
        ledger.set_function(
            id,
            MeteredFunction {
                memory_mb,
                runtime: Arc::from("nodejs22"),
                package_bytes: 2_000,
            },
        );
    }
    ledger
}

fn traffic(ledger: &mut Ledger) {
    for (id, n, ms, cpu_ms) in [(API, 12_000, 40, 2), (BILLING, 900, 250, 12)] {
        for at in 0..n {
            let cold = at % 300 == 0;
            ledger.charge(
                id,
                &Used {
                    duration: Span::from_millis(ms),
                    cpu: Span::from_millis(cpu_ms),
                    init: if cold { Span::from_millis(145) } else { Span::ZERO },
                    init_is_modelled: true,
                    busy: Span::from_millis(ms),
                    memory_bytes_max: 3 << 20,
                },
            );
        }
    }
}

fn name_of(id: FunctionId) -> String {
    String::from(match id {
        API => "api",
        BILLING => "billing",
        _ => "unused",
    })
}

fn bill(emulated: &str, provider: &str) -> Bill {
    let mut ledger = ledger(emulated);
    traffic(&mut ledger);
    Bill::new(
        &ledger,
        &provider::by_id(provider).expect("the profile exists"),
        name_of,
    )
}

#[test]
fn a_bill_as_text() {
    let expect = "\
AWS Lambda, on demand, us-east-1, prices of 2026-09

function  requests  billed time  GB-seconds  before free tier  after it  per million
api         12,000    8 min 6 s         121           $0.0044        $0        $0.37
billing        900   3 min 45 s        28.2          $0.00065        $0        $0.72
total       12,900  11 min 51 s         150           $0.0051        $0        $0.39

the same traffic at other providers

provider                    plan                   before free tier               after it  per million
Google Cloud Run functions  request-based billing            $0.042                     $0        $3.26
Azure Functions             Consumption plan                $0.0054                     $0        $0.42
Cloudflare Workers          Workers Paid                    $0.0046  $5.00 with $5.00 base        $0.35

servers that always run

server         with                 an hour  a month      cheaper above
t4g.small      2 vCPU, 2 GB, arm64  $0.0168   $12.26  42,713 requests/h
t3.small       2 vCPU, 2 GB, x86    $0.0208   $15.18  52,883 requests/h
t3.micro       2 vCPU, 1 GB, x86    $0.0104    $7.59  26,442 requests/h
t2.micro       1 vCPU, 1 GB, x86    $0.0116    $8.47  29,493 requests/h
Fargate x86    0.25 vCPU, 0.5 GB    $0.0123    $9.01  31,380 requests/h
Fargate arm64  0.25 vCPU, 0.5 GB    $0.0099    $7.21  25,107 requests/h

what this rests on

- List prices of 2026-09 (on demand, us-east-1), without taxes and discounts.
- All traffic so far counts as one month's, and nothing else in the account uses the free tier;
  functions share it by use.
- Compute and requests alone: queues, topics, schedules, API gateways, storage, logs and data
  transfer are not in it.
- Times are those of this machine and of WebAssembly; a provider's CPU share for the memory size may
  be smaller.
- Time is rounded up to 1 ms for each request.
- Memory is the function's `memory`.
- A cold start's init is billed as modelled (init duration in the REPORT line, ZIP package, 512 MB,
  x86, hello world, some 750 samples a runtime); with the model off, as measured here.
- Elsewhere the same invocations take the same time and are cold when they were cold under AWS
  Lambda; a cold start then takes the other provider's median, and requests share an instance only
  as they did here.
- A month has 730 hours. Above the break-even a server costs less than these requests at list price;
  whether it can carry them is not checked.
";
    assert_eq!(bill("aws-lambda", "aws-lambda").text(), expect);
}

#[test]
fn a_bill_with_a_base_price() {
    let text = bill("aws-lambda", "cloudflare-workers").text();
    let expect = "\
Cloudflare Workers, Workers Paid, everywhere, prices of 2026-09
for traffic as it ran under the rules of aws-lambda

function            requests  billed CPU  GB-seconds  before free tier  after it  per million
api                   12,000      24.0 s           -           $0.0041        $0        $0.34
billing                  900      10.8 s           -          $0.00049        $0        $0.54
base price a month                                                         $5.00
total                 12,900      34.8 s           -           $0.0046     $5.00        $0.35
";
    assert_eq!(text.split("\nthe same").next(), Some(expect));
}

#[test]
fn a_bill_of_nothing() {
    let ledger = ledger("gcp-functions");
    let bill = Bill::new(&ledger, ledger.active(), name_of);
    assert_eq!(
        bill.text(),
        "Google Cloud Run functions, request-based billing, Tier 1, prices of 2026-09\n\
         nothing ran yet: the bill begins with the first invocation\n"
    );
    assert_eq!(bill.total.per_million, None);
    assert!(
        bill.always_on
            .iter()
            .all(|server| server.break_even_requests_per_hour.is_none())
    );
}

/// 12,000 requests of 40 ms at 256 MB, 40 of them cold; 900 of 250 ms at 128 MB, 3 of them cold.
#[test]
fn the_figures_are_right() {
    let bill = bill("aws-lambda", "aws-lambda");
    let names: Vec<&str> = bill.functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(names, ["api", "billing"]);
    let api = &bill.functions[0];
    assert_eq!(api.billed_ms, 12_000 * 40 + 40 * 145);
    assert_eq!(api.gb_seconds, 485_800.0 / 4_000.0);
    let list_price = 121.45 * 0.000_016_666_7 + 12_000.0 * 0.000_000_2;
    assert!(
        (api.cost_before_free - list_price).abs() < 3e-12,
        "{}",
        api.cost_before_free
    );
    assert_eq!(api.cost, 0.0);
    let per_million = api.per_million.expect("there were requests");
    assert!((per_million - list_price / 0.012).abs() < 1e-9, "{per_million}");
    let sum: f64 = bill.functions.iter().map(|function| function.cost_before_free).sum();
    assert!((sum - bill.total.cost_before_free).abs() < 1e-12);

    let others: Vec<&str> = bill
        .other_providers
        .iter()
        .map(|other| other.provider.as_str())
        .collect();
    assert_eq!(others, ["gcp-functions", "azure-functions", "cloudflare-workers"]);
    assert_eq!(bill.other_providers[2].billed_ms, 12_000 * 2 + 900 * 12);
    assert_eq!(bill.other_providers[2].cost, 5.0);
    // The base price is no price of a request.
    assert!(bill.other_providers[2].per_million.is_some_and(|cost| cost < 1.0));
}

#[test]
fn json_and_back() {
    let bill = bill("gcp-functions", "aws-lambda");
    assert_eq!(
        (bill.provider.as_str(), bill.emulated.as_str()),
        ("aws-lambda", "gcp-functions")
    );
    let json = serde_json::to_string(&bill).expect("a bill is JSON");
    let back: Bill = serde_json::from_str(&json).expect("it is a bill");
    assert_eq!(back, bill);
}

/// Every profile says in words what its figures rest on, and kept instances add a sentence.
#[test]
fn assumptions_follow_the_profile() {
    for (id, words) in [
        ("aws-lambda", "Time is rounded up to 1 ms for each request."),
        (
            "gcp-functions",
            "Time is rounded up to 100 ms; requests that run on an instance at once share its seconds.",
        ),
        (
            "azure-functions",
            "Time is rounded up to 1 ms, and is at least 100 ms for each request.",
        ),
        (
            "cloudflare-workers",
            "CPU time is what emu's engine used, rounded up to 1 ms; waiting is free.",
        ),
    ] {
        let ledger = ledger(id);
        let all = assumptions(&ledger, ledger.active(), false);
        assert!(all.iter().any(|sentence| sentence == words), "{id}: {all:#?}");
        assert_eq!(assumptions(&ledger, ledger.active(), true).len(), all.len() + 1);
        assert!(all.iter().all(|sentence| sentence.ends_with('.')), "{all:#?}");
    }
}
