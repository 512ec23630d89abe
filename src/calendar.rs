//! The calendar, and times as logs, headers and answers write them. Pure.
//!
//! Source: ISO 8601 in the form of RFC 3339; the calendar is Howard Hinnant's "chrono-Compatible
//! Low-Level Date Algorithms", `civil_from_days` and `days_from_civil`.
use crate::digits;
use rustls_pki_types::UnixTime;
use std::fmt;
use std::time::Duration;

/// Seconds of a day; leap seconds do not exist in Unix time.
pub const DAY_SECONDS: u64 = 86_400;

/// A date of the Gregorian calendar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Date {
    /// Year.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
}

impl Date {
    /// The date so many days after 1970-01-01.
    ///
    /// Years are counted from March, so that a leap day is the last one of its year, in eras of 400
    /// years (146,097 days), after which the calendar repeats.
    pub const fn from_days(days: u64) -> Self {
        // 719,468 days lie between 0000-03-01 and 1970-01-01.
        let days = days.saturating_add(719_468);
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + if month <= 2 { 1 } else { 0 },
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        }
    }

    /// Days from 1970-01-01 to a date from then on.
    pub const fn days(self) -> u64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let (era, year_of_era) = (year / 400, year % 400);
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        let ([m, o], [d, a]) = (digits::two(self.month), digits::two(self.day));
        write_ascii(f, &[b'-', m, o, b'-', d, a])
    }
}

/// `2026-11-20T10:11:12Z`.
pub fn rfc3339(time: UnixTime) -> String {
    Seconds(Duration::from_secs(time.as_secs())).to_string()
}

/// `2026-11-20T10:11:12Z`, from the time since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Z", Clock(self.0.as_secs()))
    }
}

/// `2026-11-20T10:11:12.345678Z`, from the time since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Micros(pub Duration);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Clock(self.0.as_secs()).fmt(f)?;
        let micros = u64::from(self.0.subsec_micros());
        let [[a, b], [c, d], [e, g]] = [micros / 10_000, micros / 100, micros].map(digits::two);
        write_ascii(f, &[b'.', a, b, c, d, e, g, b'Z'])
    }
}

/// Date and time of day, without the zone.
struct Clock(u64);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 % DAY_SECONDS;
        let [[h, o], [m, i], [s, e]] =
            [seconds / 3_600, seconds / 60 % 60, seconds % 60].map(digits::two);
        Date::from_days(self.0 / DAY_SECONDS).fmt(f)?;
        write_ascii(f, &[b'T', h, o, b':', m, i, b':', s, e])
    }
}

fn write_ascii(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    f.write_str(str::from_utf8(text).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method: days are counted up by the rule of leap years (400 years repeat) and compared.
    #[test]
    fn every_day_of_four_centuries_is_the_day_after_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..146_097 {
            let date = Date { year, month, day };
            assert_eq!((Date::from_days(days), date.days()), (date, days));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }

    #[test]
    fn times_are_written_as_in_the_logs() {
        let time = Duration::new(1_795_169_472, 345_678_999);
        assert_eq!(Micros(time).to_string(), "2026-11-20T10:11:12.345678Z");
        assert_eq!(Seconds(time).to_string(), "2026-11-20T10:11:12Z");
        assert_eq!(rfc3339(UnixTime::since_unix_epoch(time)), "2026-11-20T10:11:12Z");
        assert_eq!(Micros(Duration::ZERO).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Seconds(Duration::MAX).to_string().len(), 28, "no overflow far ahead");
    }
}
