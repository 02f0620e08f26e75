//! Schedules in AWS's form: six fields, the year last, 1 = Sunday, and `?` in one of the two fields for days.

/// # Errors
/// When AWS has no such schedule: why.
pub fn aws(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.starts_with("rate(") || text.starts_with("cron(") {
        return Ok(text.to_owned());
    }
    let text = match text {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        text => text,
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let fields = match fields.as_slice() {
        [_, _, _, _, _] => fields,
        ["0", rest @ ..] if rest.len() == 5 => rest.to_vec(),
        [_, _, _, _, _, _] => return Err("AWS knows no seconds: it is left out".to_owned()),
        _ => return Err("AWS has no such schedule: it is left out".to_owned()),
    };
    let (day, weekday) = (fields[2], fields[4]);
    let is_any = |field: &str| matches!(field, "*" | "?");
    let (day, weekday) = match (is_any(day), is_any(weekday)) {
        (_, true) => (day.replace('?', "*"), "?".to_owned()),
        (true, false) => ("?".to_owned(), weekdays(weekday)?),
        (false, false) => {
            return Err("AWS takes days of the month or days of the week, not both: it is left out".to_owned());
        }
    };
    Ok(format!(
        "cron({} {} {day} {} {weekday} *)",
        fields[0], fields[1], fields[3]
    ))
}

/// Days counted from 1 instead of 0; names stay.
fn weekdays(field: &str) -> Result<String, String> {
    let one = |text: &str| -> Result<String, String> {
        match text.parse::<u32>() {
            // 7 is a Sunday too.
            Ok(day @ 0..=7) => Ok((day % 7 + 1).to_string()),
            Ok(_) => Err(format!("{field} names no days of the week: it is left out")),
            Err(_) => Ok(text.to_ascii_uppercase()),
        }
    };
    let list = field.split(',').map(|part| {
        if part.contains(['/', '#', 'L', 'l']) {
            return Err(format!(
                "days of the week as {part} are counted otherwise at AWS: it is left out"
            ));
        }
        match part.split_once('-') {
            // Sunday ends a week here and begins one there.
            Some((from, "7")) => Ok(format!("{}-7,1", one(from)?)),
            Some((from, to)) => Ok(format!("{}-{}", one(from)?, one(to)?)),
            None => one(part),
        }
    });
    Ok(list.collect::<Result<Vec<_>, _>>()?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_aws_does() {
        let check = |text: &str, expect: &str| assert_eq!(aws(text).as_deref(), Ok(expect), "{text}");
        check("*/5 * * * *", "cron(*/5 * * * ? *)");
        check("0 8 * * 1-5", "cron(0 8 ? * 2-6 *)");
        check("0 8 * * 0,6", "cron(0 8 ? * 1,7 *)");
        check("0 8 * * 5-7", "cron(0 8 ? * 6-7,1 *)");
        check("0 8 * * mon", "cron(0 8 ? * MON *)");
        check("0 0 8 1 * *", "cron(0 8 1 * ? *)");
        check("rate(5 minutes)", "rate(5 minutes)");
        check("cron(0 8 ? * MON-FRI *)", "cron(0 8 ? * MON-FRI *)");
        assert!(aws("30 0 8 * * *").is_err());
        assert!(aws("0 8 1 * 1").is_err());
        assert!(aws("0 8 * * 1#2").is_err());
    }
}
