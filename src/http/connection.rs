//! The Connection header: persistence, and the headers that are meant for this hop alone.
//! Source: RFC 9110, section 7.6.1; RFC 9112, section 9.3.
#![deny(clippy::indexing_slicing)]
use super::malformed::Malformed;
use super::message::Version;
use crate::limits::CONNECTION_OPTIONS_MAX;

/// What the Connection headers of one message say together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection<'b> {
    close: bool,
    keep_alive: bool,
    nominated: [&'b [u8]; CONNECTION_OPTIONS_MAX],
    nominated_count: usize,
}

impl<'b> Connection<'b> {
    /// Adds one header's value: options separated by commas, in any case.
    ///
    /// # Errors
    /// [`Malformed::TooManyConnectionOptions`]: each nominated name is later compared with each header.
    pub(super) fn read(&mut self, value: &'b [u8]) -> Result<(), Malformed> {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if !option.is_empty() {
                let slot = self.nominated.get_mut(self.nominated_count);
                *slot.ok_or(Malformed::TooManyConnectionOptions)? = option;
                self.nominated_count += 1;
            }
        }
        Ok(())
    }

    /// Whether the sender of a message of `version` keeps the connection.
    pub(super) const fn keeps(&self, version: Version) -> bool {
        match version {
            Version::Http11 | Version::Http2 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }

    /// Whether a header is meant for this hop alone.
    pub fn nominates(&self, name: &str) -> bool {
        self.nominated().any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The options that are neither `close` nor `keep-alive`.
    pub(super) fn nominated(&self) -> impl Iterator<Item = &'b [u8]> {
        self.nominated.iter().take(self.nominated_count).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Connection<'static> {
        let mut connection = Connection::default();
        values.iter().for_each(|value| connection.read(value.as_bytes()).unwrap());
        connection
    }

    /// RFC 9112, section 9.3: "If the \"close\" connection option is present, the connection will not
    /// persist ... If the received protocol is HTTP/1.1 (or later), the connection will persist ... If
    /// the received protocol is HTTP/1.0, the \"keep-alive\" connection option is present [...]".
    #[test]
    fn persistence_follows_version_and_options() {
        for (values, http10, http11) in [
            (&[][..], false, true),
            (&["close"], false, false),
            (&["Keep-Alive"], true, true),
            (&["keep-alive, close"], false, false),
            (&["keep-alive", " CLOSE "], false, false),
            (&["x-closed"], false, true),
            (&[",\t,close,"], false, false),
        ] {
            let connection = read(values);
            assert_eq!(connection.keeps(Version::Http10), http10, "{values:?}");
            assert_eq!(connection.keeps(Version::Http11), http11, "{values:?}");
        }
    }

    #[test]
    fn nominated_names_are_compared_whole_and_without_case() {
        let connection = read(&["close, X-One", "x-two ,upgrade"]);
        for name in ["x-one", "X-ONE", "X-Two", "Upgrade"] {
            assert!(connection.nominates(name), "{name}");
        }
        for name in ["X-On", "X-One2", "close", ""] {
            assert!(!connection.nominates(name), "{name}");
        }
    }

    #[test]
    fn the_number_of_nominated_names_is_bounded() {
        let at_the_limit = vec!["a"; CONNECTION_OPTIONS_MAX].join(",");
        assert_eq!(Connection::default().read(at_the_limit.as_bytes()), Ok(()));
        let above = format!("{at_the_limit},,close,b");
        let refused = Connection::default().read(above.as_bytes());
        assert_eq!(refused, Err(Malformed::TooManyConnectionOptions));
    }
}
