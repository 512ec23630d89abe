//! The times of certificates and revocation lists, and those that people write: reading them.
//!
//! Source: RFC 5280, section 4.1.2.5.
#![deny(clippy::indexing_slicing)]
use super::der::{GENERALIZED_TIME, Malformed, Reader, UTC_TIME, Value};
use crate::calendar::{DAY_SECONDS, Date};
use rustls_pki_types::UnixTime;
use std::time::Duration;

/// Reads a `Time`. Years before 1970 are refused, as webpki does.
pub(super) fn read(reader: &mut Reader<'_>, expected: &'static str) -> Result<UnixTime, Malformed> {
    let value = reader.read(expected)?;
    of(&value).ok_or(value.malformed(expected))
}

/// Reads a `Time` where one stands next.
pub(super) fn read_optional(
    reader: &mut Reader<'_>,
    expected: &'static str,
) -> Result<Option<UnixTime>, Malformed> {
    let mut ahead = *reader;
    match ahead.read(expected) {
        Ok(value) if is_time(&value) => read(reader, expected).map(Some),
        _ => Ok(None),
    }
}

/// Whether `value` is a `Time` by its tag.
pub(super) fn is_time(value: &Value<'_>) -> bool {
    matches!(value.tag, UTC_TIME | GENERALIZED_TIME)
}

/// The time of a `Time`.
pub(super) fn of(value: &Value<'_>) -> Option<UnixTime> {
    let digits = value.content.strip_suffix(b"Z")?;
    let (year, rest) = match value.tag {
        UTC_TIME => {
            let (year, rest) = pair(digits)?;
            // RFC 5280: a year of 50 or more is in the twentieth century.
            (if year >= 50 { 1900 + year } else { 2000 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (century, rest) = pair(digits)?;
            let (year, rest) = pair(rest)?;
            (century * 100 + year, rest)
        }
        _ => return None,
    };
    let (month, rest) = pair(rest)?;
    let (day, rest) = pair(rest)?;
    let (hour, rest) = pair(rest)?;
    let (minute, rest) = pair(rest)?;
    let (second, rest) = pair(rest)?;
    let is_valid = rest.is_empty()
        && year >= 1970
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let seconds =
        || Date { year, month, day }.days() * DAY_SECONDS + hour * 3_600 + minute * 60 + second;
    is_valid.then(|| UnixTime::since_unix_epoch(Duration::from_secs(seconds())))
}

fn pair(digits: &[u8]) -> Option<(u64, &[u8])> {
    let (&[tens, ones], rest) = digits.split_first_chunk::<2>()?;
    let is_digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    is_digits.then(|| (u64::from(tens - b'0') * 10 + u64::from(ones - b'0'), rest))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SSZ`.
pub(super) fn read_rfc3339(text: &str) -> Option<UnixTime> {
    let is_in_form = text.bytes().enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    });
    let digits: Vec<u8> =
        text.bytes().filter(|byte| byte.is_ascii_digit() || *byte == b'Z').collect();
    // The form fixes the length, so the digits make one short value.
    let is_whole = is_in_form && text.len() == 20;
    let mut der = vec![GENERALIZED_TIME, 15];
    der.extend(digits);
    is_whole.then(|| read(&mut Reader::new(&der), "a time").ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::rfc3339;

    fn text(tag: u8, digits: &str) -> Option<String> {
        let mut der = vec![tag, u8::try_from(digits.len()).unwrap()];
        der.extend(digits.as_bytes());
        read(&mut Reader::new(&der), "a time").ok().map(rfc3339)
    }

    #[test]
    fn both_forms_of_time_are_read_and_written_back() {
        for (tag, digits, expected) in [
            (UTC_TIME, "700101000000Z", "1970-01-01T00:00:00Z"),
            (UTC_TIME, "491231235959Z", "2049-12-31T23:59:59Z"),
            (UTC_TIME, "240229120000Z", "2024-02-29T12:00:00Z"),
            (UTC_TIME, "240301000000Z", "2024-03-01T00:00:00Z"),
            (GENERALIZED_TIME, "20500101000000Z", "2050-01-01T00:00:00Z"),
            (GENERALIZED_TIME, "20000229000000Z", "2000-02-29T00:00:00Z"),
            (GENERALIZED_TIME, "21000228235959Z", "2100-02-28T23:59:59Z"),
            (GENERALIZED_TIME, "99991231235959Z", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(text(tag, digits).as_deref(), Some(expected));
            assert_eq!(read_rfc3339(expected).map(rfc3339).as_deref(), Some(expected));
        }
    }

    #[test]
    fn every_day_of_two_centuries_survives_the_calendar() {
        let end = Date { year: 2170, month: 1, day: 1 };
        for day in 0..end.days() {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(day * DAY_SECONDS));
            let written = rfc3339(time).replace(['-', ':', 'T'], "");
            assert_eq!(text(GENERALIZED_TIME, &written), Some(rfc3339(time)), "day {day}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "2024-01-01", "2024-02-30T00:00:00Z", "2024-01-01T00:00:00", "x"] {
            assert_eq!(read_rfc3339(text), None, "{text}");
        }
        assert_eq!(read_rfc3339("2024-01-01 00:00:00Z"), None);
        for digits in [
            "",
            "Z",
            "240101000000",
            "2401010000Z",
            "240101000000+0000",
            "241301000000Z",
            "240001000000Z",
            "240230000000Z",
            "230229000000Z",
            "240101240000Z",
            "240101006000Z",
            "240101000060Z",
            "24010100000aZ",
            "500101000000Z",
            "240101000000.5Z",
        ] {
            assert_eq!(text(UTC_TIME, digits), None, "{digits}");
        }
        assert_eq!(text(GENERALIZED_TIME, "21000229000000Z"), None);
        assert_eq!(text(0x04, "240101000000Z"), None);
    }
}
