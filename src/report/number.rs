//! Figures as people read them: one way for each unit, everywhere.

/// `18,204`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `0.07 ms`, `12.3 ms`, `145 ms`, `3.02 s`, `2 min 5 s`: three figures that matter.
pub fn millis(ms: f64) -> String {
    let ms = ms.max(0.0);
    if ms < 9.995 {
        format!("{ms:.2} ms")
    } else if ms < 99.95 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else if ms < 9_995.0 {
        format!("{:.2} s", ms / 1e3)
    } else if ms < 59_950.0 {
        format!("{:.1} s", ms / 1e3)
    } else {
        long(ms)
    }
}

/// `2 min 5 s`, `3 h 20 min`, `2 d 4 h`: ages and times to go, to the second.
pub fn long(ms: f64) -> String {
    let s = (ms.max(0.0) / 1e3).round() as u64;
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{big} {unit}")
        } else {
            format!("{big} {unit} {small} {small_unit}")
        }
    };
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => two(s / 60, "min", s % 60, "s"),
        3_600..86_400 => two(s / 3_600, "h", s % 3_600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3_600, "h"),
    }
}

/// `$0`, `$0.0000004`, `$0.0031`, `$12.40`: two figures that matter below a dollar, cents above.
pub fn dollars(amount: f64) -> String {
    if amount == 0.0 {
        return "$0".to_owned();
    }
    let sign = if amount < 0.0 { "-" } else { "" };
    let amount = amount.abs();
    if amount >= 0.995 {
        let cents = (amount * 100.0).round() as u64;
        return format!("{sign}${}.{:02}", count(cents / 100), cents % 100);
    }
    // Two significant figures; a picodollar is the smallest there is.
    let decimals = ((-amount.log10()).floor() as i32 + 2).clamp(2, 12) as usize;
    let text = format!("{amount:.decimals$}");
    let trimmed = text.trim_end_matches('0');
    // `0.10` keeps its cents, `0.00000040` loses its last zero.
    let kept = trimmed.len().max("0.00".len()).min(text.len());
    format!("{sign}${}", &text[..kept])
}

/// `18`, `0.4`: memory in MB without its unit, for `18/256 MB`.
pub fn megabytes(mb: f64) -> String {
    if mb < 9.95 {
        trim(format!("{mb:.1}"))
    } else {
        format!("{mb:.0}")
    }
}

/// `12.5%`, `0.03%`, `0%`, `100%`.
pub fn percent(share: f64) -> String {
    let p = share * 100.0;
    if !p.is_finite() {
        return "-".to_owned();
    }
    if p == 0.0 || p >= 99.95 {
        format!("{p:.0}%")
    } else if p < 0.995 {
        format!("{p:.2}%")
    } else {
        format!("{p:.1}%")
    }
}

/// `1 message`, `3 messages`.
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// `1 attempt`, `3 attempts`.
pub fn attempts(n: u32) -> String {
    plural(u64::from(n), "attempt", "attempts")
}

/// `1 receive`, `3 receives`.
pub fn receives(n: u32) -> String {
    plural(u64::from(n), "receive", "receives")
}

fn trim(text: String) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_thousands() {
        let cases = [
            (0, "0"),
            (7, "7"),
            (999, "999"),
            (1_000, "1,000"),
            (18_204, "18,204"),
            (1_234_567, "1,234,567"),
        ];
        for (n, expect) in cases {
            assert_eq!(count(n), expect);
        }
    }

    #[test]
    fn durations_keep_three_figures() {
        for (ms, expect) in [
            (0.0, "0.00 ms"),
            (0.073, "0.07 ms"),
            (9.99, "9.99 ms"),
            (9.996, "10.0 ms"),
            (12.34, "12.3 ms"),
            (99.96, "100 ms"),
            (145.4, "145 ms"),
            (999.6, "1.00 s"),
            (3016.78, "3.02 s"),
            (12_345.0, "12.3 s"),
            (125_000.0, "2 min 5 s"),
            (-1.0, "0.00 ms"),
        ] {
            assert_eq!(millis(ms), expect, "{ms}");
        }
        for (ms, expect) in [
            (400.0, "0 s"),
            (59_499.0, "59 s"),
            (60_000.0, "1 min"),
            (12_000_000.0, "3 h 20 min"),
            (86_400_000.0, "1 d"),
            (187_200_000.0, "2 d 4 h"),
        ] {
            assert_eq!(long(ms), expect, "{ms}");
        }
    }

    #[test]
    fn money_keeps_two_figures() {
        for (amount, expect) in [
            (0.0, "$0"),
            (0.0000004, "$0.0000004"),
            (0.000_000_408_3, "$0.00000041"),
            (0.0031, "$0.0031"),
            (0.1, "$0.10"),
            (0.25, "$0.25"),
            (0.999, "$1.00"),
            (1.0, "$1.00"),
            (12.4, "$12.40"),
            (1_234.567, "$1,234.57"),
            (-3.5, "-$3.50"),
            (1e-12, "$0.000000000001"),
        ] {
            assert_eq!(dollars(amount), expect, "{amount}");
        }
    }

    #[test]
    fn shares_and_memory() {
        for (share, expect) in [
            (0.0, "0%"),
            (0.0003, "0.03%"),
            (0.125, "12.5%"),
            (1.0, "100%"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(percent(share), expect);
        }
        for (mb, expect) in [(18.2, "18"), (0.43, "0.4"), (2.0, "2"), (0.0, "0")] {
            assert_eq!(megabytes(mb), expect);
        }
        assert_eq!(plural(1, "message", "messages"), "1 message");
        assert_eq!(plural(3_000, "message", "messages"), "3,000 messages");
    }
}
