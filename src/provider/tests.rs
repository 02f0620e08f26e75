//! Every profile is valid, every figure has a source, what is wrong is refused.

use super::units::{Price, parse_price};
use super::*;

#[test]
fn every_profile_is_valid_and_named_after_its_file() {
    for (file, text) in FILES {
        let profile = parse(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(format!("{}.toml", profile.id), file);
    }
    assert_eq!(
        ids(),
        ["aws-lambda", "gcp-functions", "azure-functions", "cloudflare-workers"]
    );
    assert_eq!(servers().len(), 6);
}

/// A figure without a source is a rumour: every line that holds a number ends in a mark.
#[test]
fn every_figure_says_where_it_comes_from() {
    let files = FILES
        .into_iter()
        .chain([("servers.toml", include_str!("servers.toml"))]);
    for (file, text) in files {
        for (number, line) in text.lines().enumerate() {
            let (data, comment) = line.split_once('#').unwrap_or((line, ""));
            let is_words = [
                "id", "name", "plan", "region", "basis", "what", "size", "script", "wasm",
            ]
            .iter()
            .any(|key| data.trim_start().starts_with(&format!("{key} =")));
            let holds_figure = data.contains('=') && data.chars().any(|c| c.is_ascii_digit()) && !is_words;
            let marked = ["[V]", "[S]", "[M]", "[A]"].iter().any(|mark| comment.contains(mark));
            let is_date = data.trim_start().starts_with("as_of");
            assert!(
                !holds_figure || marked || is_date,
                "{file}:{}: no source mark: {line}",
                number + 1
            );
        }
    }
}

#[test]
fn an_unknown_provider_gets_the_nearest_name() {
    for (wrong, nearest) in [
        ("aws", "aws-lambda"),
        ("lambda", "aws-lambda"),
        ("AWS-Lamda", "aws-lambda"),
        ("gcp", "gcp-functions"),
        ("google", "gcp-functions"),
        ("cloud-run", "gcp-functions"),
        ("azure", "azure-functions"),
        ("azure-function", "azure-functions"),
        ("workers", "cloudflare-workers"),
        ("cloudflare", "cloudflare-workers"),
    ] {
        let error = by_id(wrong).expect_err(wrong);
        assert_eq!(error.nearest, nearest, "for {wrong}");
        assert!(
            error.to_string().contains(&format!("did you mean `{nearest}`?")),
            "{error}"
        );
    }
    assert_eq!(
        by_id(DEFAULT_ID).map(|profile| profile.name.clone()).as_deref(),
        Ok("AWS Lambda")
    );
}

#[test]
fn figures_that_contradict_each_other_are_refused() {
    let good = FILES[0].1;
    for (from, to, complaint) in [
        ("step_mb = 1 ", "step_mb = 0 ", "memory.step_mb"),
        ("default_mb = 128", "default_mb = 64", "memory: min_mb"),
        ("default = \"3s\"", "default = \"3h\"", "timeout: default"),
        (
            "retry_waits = [\"1m\", \"2m\"]",
            "retry_waits = []",
            "async.retry_waits",
        ),
        ("initial = 5 ", "initial = 5000 ", "queue.pollers"),
        ("script = \"nodejs22\"", "script = \"nodejs1\"", "no `nodejs1`"),
        ("up_to = 6000000000", "up_to = 16000000000", "billing.gb_second.tiers"),
        ("free = 400000 ", "free = 7000000000 ", "billing.gb_second.free"),
        ("beyond = \"reject\"", "beyond = \"shrug\"", "unknown variant `shrug`"),
        (
            "price = \"0.0000002\"",
            "price = \"0.00000000000002\"",
            "at most twelve decimals",
        ),
        ("max_age = \"2h\"", "max_agee = \"2h\"", "unknown field `max_agee`"),
        ("max_age = \"2h\"", "max_age = \"2\"", "a number without a unit"),
    ] {
        assert!(good.contains(from), "the file does not hold {from}");
        let error = parse(&good.replacen(from, to, 1)).expect_err(to);
        assert!(error.contains(complaint), "{to}: {error}");
    }
}

#[test]
fn prices_are_read_exactly() {
    for (text, picodollars) in [
        ("0.0000166667", 16_666_700),
        ("0.000000000001", 1),
        ("5", 5_000_000_000_000),
        ("0.0123425", 12_342_500_000),
        ("18446744", 18_446_744_000_000_000_000),
    ] {
        assert_eq!(parse_price(text), Ok(Price(picodollars)), "{text}");
    }
    for text in [
        "",
        "free",
        "0.0000000000001",
        "$5",
        "1e-3",
        "1.",
        ".5",
        "-1",
        "1.2.3",
        "18446745",
        "\u{661}",
    ] {
        assert!(parse_price(text).is_err(), "{text}");
    }
}
