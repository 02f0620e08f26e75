//! A report in the form of JUnit, which every CI reads: a suite with a case for each file.

use std::path::Path;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::cli::failure::Failure;

use super::run::Ended;
use super::show;

/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, all: &[Ended]) -> Result<(), Failure> {
    let text = report(all)
        .to_string()
        .map_err(|error| Failure::new(format!("no report can be made: {error}")))?;
    std::fs::write(path, text).map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))
}

fn report(all: &[Ended]) -> Report {
    let mut suite = TestSuite::new("emu test");
    for ended in all {
        let mut status = TestCaseStatus::success();
        if let Some(first) = ended.findings.first() {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let told: Vec<String> = ended.findings.iter().map(|told| show::plain(ended, told)).collect();
            status
                .set_message(show::message(ended, first))
                .set_type("expectation")
                .set_description(told.join("\n\n"));
        }
        let mut case = TestCase::new(ended.file.title(), status);
        case.set_classname(&ended.file.source.name).set_time(ended.took);
        if !ended.said.is_empty() {
            case.set_system_out(ended.said.join("\n"));
        }
        suite.add_test_case(case);
    }
    let mut report = Report::new("emu test");
    report.add_test_suite(suite);
    report
}
