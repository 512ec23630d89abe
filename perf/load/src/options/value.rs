//! Values of options, from their text. Errors are the end of clap's sentence.
use crate::timeline::LATENCY_MAX;
use http::{HeaderName, HeaderValue, header};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Local addresses that a range may hold.
const SOURCES_MAX: u128 = 65_536;

/// A path with its query.
pub(super) fn path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path {
        Ok(text.to_owned())
    } else {
        Err("a path begins with / and has no spaces".to_owned())
    }
}

/// How many in each second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=10_000_000.0).contains(rate));
    rate.ok_or_else(|| "expected 0.001 to 10,000,000 a second".to_owned())
}

/// A stretch of time: a number of seconds, or with its unit.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
    let with_unit =
        units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, unit) = with_unit.unwrap_or((text, 1.0));
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    let seconds = seconds.filter(|seconds| (0.001..=1_000_000.0).contains(seconds));
    let told = || "expected a number of seconds, or one such as 500ms, 30s, 5m, 1h".to_owned();
    seconds.map(Duration::from_secs_f64).ok_or_else(told)
}

/// A stretch of time that a latency may have.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = seconds(text)?;
    if timeout < LATENCY_MAX {
        Ok(timeout)
    } else {
        Err("expected less than 1000 seconds".to_owned())
    }
}

/// So many of something, at least one.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=1_000_000).contains(count));
    count.ok_or_else(|| "expected 1 to 1000000".to_owned())
}

/// `Name: value`.
pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let told = || "expected \"Name: value\"".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(told)?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| told())?;
    let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];
    if framing.contains(&name) {
        return Err(format!("{name} is written by the load itself"));
    }
    Ok((name, HeaderValue::from_str(value.trim()).map_err(|_| told())?))
}

/// CPUs as `taskset -c` has them: `0,2-3`.
pub(super) fn cpus(text: &str) -> Result<Cpus, String> {
    let told = || "expected CPUs such as 0,2-3".to_owned();
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) =
            (first.parse().map_err(|_| told())?, last.parse().map_err(|_| told())?);
        if first > last || last >= rustix::thread::CpuSet::MAX_CPU {
            return Err(told());
        }
        cpus.extend(first..=last);
    }
    Ok(Cpus(cpus))
}

/// CPUs to work on, one thread on each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Cpus(pub(super) Vec<usize>);

/// `host:443`, `192.0.2.1:443` or `[2001:db8::1]:443`.
pub(super) fn place(text: &str) -> Result<Place, String> {
    let told = || "expected a name or an address with a port".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(told)?;
    let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match ipv6 {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '[', ']']),
    };
    let port = port.parse().ok().filter(|port| is_host && *port > 0).ok_or_else(told)?;
    Ok(Place { host: ipv6.unwrap_or(host).to_owned(), port })
}

/// A host and one of its ports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        // RFC 3986, section 3.2.2.
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Local addresses: `A` or `A-B`.
pub(super) fn sources(text: &str) -> Result<Sources, String> {
    let told = || format!("expected addresses A-B, {SOURCES_MAX} at most");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let parse = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| told());
    let (range, address): (_, fn(u128) -> IpAddr) = match (parse(first)?, parse(last)?) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            (u128::from(first.to_bits())..=u128::from(last.to_bits()), v4)
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            (first.to_bits()..=last.to_bits(), |bits| Ipv6Addr::from_bits(bits).into())
        }
        _ => return Err(told()),
    };
    if range.is_empty() || range.end() - range.start() >= SOURCES_MAX {
        return Err(told());
    }
    Ok(Sources(range.map(address).collect()))
}

fn v4(bits: u128) -> IpAddr {
    Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or_default()).into()
}

/// Local addresses to connect from, at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Sources(pub(super) Vec<IpAddr>);

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [first, .., last] => write!(f, "{first}-{last}"),
            one => one.iter().try_for_each(|one| one.fmt(f)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_addresses_has_both_ends() {
        let all = sources("127.0.0.254-127.0.1.1").unwrap().0;
        let texts: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["127.0.0.254", "127.0.0.255", "127.0.1.0", "127.0.1.1"]);
        assert_eq!(sources("127.0.0.254-127.0.1.1").unwrap().to_string(), "127.0.0.254-127.0.1.1");
        assert_eq!(sources("::1").unwrap().to_string(), "::1");
        assert_eq!(sources("::1").unwrap().0, ["::1".parse::<IpAddr>().unwrap()]);
        for wrong in ["", "127.0.0.2-127.0.0.1", "127.0.0.1-::1", "0.0.0.0-255.255.255.255", "a-b"]
        {
            assert!(sources(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_in_seconds_or_has_its_unit() {
        let right =
            [("30", 30_000), ("4.5", 4_500), ("500ms", 500), ("30s", 30_000), ("2m", 120_000)];
        for (text, milliseconds) in right {
            assert_eq!(seconds(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "s", "0", "-1s", "30 minutes", "1000h", "NaN"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_has_a_host_and_a_port() {
        for right in ["edge.example:443", "192.0.2.1:8443", "[2001:db8::1]:443"] {
            assert_eq!(place(right).unwrap().to_string(), right);
        }
        let wrong = ["edge", ":443", "edge:", "edge:0", "edge:65536", "::1", "[edge]:443", "[::1]"];
        for wrong in wrong {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cpus_are_numbers_and_ranges() {
        assert_eq!(cpus("0,2-3").unwrap().0, [0, 2, 3]);
        for wrong in ["", "a", "3-2", "0-100000", "1,"] {
            assert!(cpus(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_of_framing_is_refused() {
        assert!(header("X-A: b").is_ok() && header("Host:b").is_ok());
        assert!(header("Content-Length: 3").is_err());
        assert!(
            header("X-A").is_err() && header("X A: b").is_err() && header("X: \u{7f}").is_err()
        );
    }
}
