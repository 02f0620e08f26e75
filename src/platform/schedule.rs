//! Next fire of a schedule in its time zone.

/// A parsed schedule: five- or six-field cron, `rate(...)` or AWS's `cron(...)`, with its zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// As written.
    pub text: String,
}
