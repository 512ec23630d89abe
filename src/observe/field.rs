//! What log lines are made of: fields that stay in their column whatever a client puts into them, and
//! their JSON forms.
//!
//! Pure. Source: `alb-contract.md`, section 2.2: no field holds a `"` or, unquoted, a space; `"`, `\`,
//! controls and bytes over 0x7e become `\xHH`.
#![deny(clippy::indexing_slicing)]
use crate::digits;
use serde::{Serialize, Serializer};
use std::fmt::{self, Write as _};
use std::str;
use std::time::Duration;

/// A field between quotes; spaces stay.
pub(super) struct Quoted<T>(pub(super) T);

impl<T: AsRef<[u8]>> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0.as_ref(), |byte| byte == b' ' || stays(byte), f)
    }
}

/// A field without quotes, or a word of one with them: it holds no space and is never empty.
pub(super) struct Bare<T>(pub(super) T);

impl<T: AsRef<[u8]>> fmt::Display for Bare<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_ref() {
            [] => f.write_char('-'),
            field => escape(field, stays, f),
        }
    }
}

fn stays(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

fn escape(mut field: &[u8], stays: impl Fn(u8) -> bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    loop {
        let clean = field.iter().take_while(|byte| stays(**byte)).count();
        let (clean, rest) = field.split_at(clean);
        // What stays is ASCII.
        f.write_str(str::from_utf8(clean).unwrap_or_default())?;
        let Some((byte, rest)) = rest.split_first() else { return Ok(()) };
        write!(f, "\\x{byte:02X}")?;
        field = rest;
    }
}

/// What is there, or a dash.
pub(super) struct OrDash<T>(pub(super) Option<T>);

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_char('-'),
        }
    }
}

/// Seconds with three decimals; a number in JSON.
#[derive(Clone, Copy)]
pub(super) struct Latency(pub(super) Duration);

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_secs().fmt(f)?;
        let millis = u64::from(self.0.subsec_millis());
        let ([_, a], [b, c]) = (digits::two(millis / 100), digits::two(millis));
        f.write_str(str::from_utf8(&[b'.', a, b, c]).unwrap_or_default())
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_millis() as f64 / 1_000.0)
    }
}

/// `conn_trace_id`: what joins the lines of requests to that of their connection.
pub(super) struct TraceId(pub(super) [u8; 16]);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TID_")?;
        f.write_str(str::from_utf8(digits::hex(self.0).as_flattened()).unwrap_or_default())
    }
}

/// In JSON a string of what it displays.
pub(super) struct Shown<T>(pub(super) T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// In JSON a string of a client's bytes; what is no UTF-8 becomes U+FFFD.
pub(super) struct Lossy<'a>(pub(super) &'a [u8]);

impl Serialize for Lossy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_upper_case_hexadecimal() {
        assert_eq!(Quoted("a b\"\\\n\u{7f}å~").to_string(), r"a b\x22\x5C\x0A\x7F\xC3\xA5~");
        assert_eq!(Quoted(b"\xff\0a").to_string(), r"\xFF\x00a");
        assert_eq!(Bare("a b").to_string(), r"a\x20b");
        assert_eq!((Quoted("").to_string(), Bare("").to_string()), (String::new(), "-".to_owned()));
    }

    /// `alb-contract.md`, section 2.2: the escape, byte by byte.
    #[test]
    fn every_byte_is_itself_or_its_escape() {
        for byte in 0..=u8::MAX {
            let escaped = format!("\\x{byte:02X}");
            let itself = |stays: bool| match stays {
                true => char::from(byte).to_string(),
                false => escaped.clone(),
            };
            let word = (0x21..=0x7e).contains(&byte) && !matches!(byte, b'"' | b'\\');
            assert_eq!(Bare([byte]).to_string(), itself(word), "{byte:#x}");
            assert_eq!(Quoted([byte]).to_string(), itself(word || byte == b' '), "{byte:#x}");
        }
    }

    #[test]
    fn latencies_are_cut_to_milliseconds() {
        for (micros, text) in
            [(0, "0.000"), (999, "0.000"), (21_400, "0.021"), (60_000_999, "60.000")]
        {
            let latency = Latency(Duration::from_micros(micros));
            assert_eq!(latency.to_string(), text);
        }
        assert_eq!(
            serde_json::to_string(&Latency(Duration::from_micros(21_400))).unwrap(),
            "0.021"
        );
    }
}
