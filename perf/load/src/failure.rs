//! How an attempt fails: the kinds under which errors are counted.
use rustls::AlertDescription;
use std::fmt;
use std::io;

/// Why an attempt failed. Its text is the key in tables and JSON.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Failure {
    /// Nobody listens there.
    Refused,
    /// The connection was torn down.
    Reset,
    /// The server closed before its answer was whole.
    Closed,
    /// The server sent this alert.
    Alert(u8),
    /// Nothing came in time.
    Timeout,
    /// The server answered with this status.
    Status(u16),
    /// The answer is no HTTP/1.1, or has no end that can be known before the next request.
    Answer,
    /// The server's certificate is not the one that was asked for.
    ServerCertificate,
    /// The server does not keep to TLS 1.3, or has nothing in common with us.
    Tls,
    /// No local port or no file is left: the machine of the load is at its end.
    Exhausted,
    /// Another error of the system's, by its number.
    System(i32),
}

impl Failure {
    /// From what a socket, or TLS on it, has said.
    pub(crate) fn of(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::of_tls(tls);
        }
        let kinds = [
            (io::ErrorKind::ConnectionRefused, Self::Refused),
            (io::ErrorKind::ConnectionReset, Self::Reset),
            (io::ErrorKind::ConnectionAborted, Self::Reset),
            (io::ErrorKind::BrokenPipe, Self::Reset),
            (io::ErrorKind::UnexpectedEof, Self::Closed),
            (io::ErrorKind::TimedOut, Self::Timeout),
            (io::ErrorKind::AddrNotAvailable, Self::Exhausted),
        ];
        let known = kinds.iter().find(|(kind, _)| *kind == error.kind());
        match (known, error.raw_os_error()) {
            (Some((_, failure)), _) => *failure,
            (None, Some(EMFILE | ENFILE)) => Self::Exhausted,
            (None, number) => Self::System(number.unwrap_or_default()),
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        if let rustls::Error::AlertReceived(alert) = error {
            return Self::Alert(u8::from(*alert));
        }
        if let rustls::Error::InvalidCertificate(_) = error {
            return Self::ServerCertificate;
        }
        Self::Tls
    }
}

/// errno(3), the same on every Linux.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Reset => f.write_str("reset"),
            Self::Closed => f.write_str("closed"),
            Self::Alert(code) => write!(f, "alert {}", alert_name(*code)),
            Self::Timeout => f.write_str("timeout"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Answer => f.write_str("bad answer"),
            Self::ServerCertificate => f.write_str("server certificate"),
            Self::Tls => f.write_str("TLS"),
            Self::Exhausted => f.write_str("no port or file left"),
            Self::System(number) => write!(f, "system error {number}"),
        }
    }
}

/// `certificate_revoked`, as RFC 8446 spells it; from rustls's `CertificateRevoked`.
fn alert_name(code: u8) -> String {
    let mut name = String::new();
    let mut after_small = false;
    for letter in format!("{:?}", AlertDescription::from(code)).chars() {
        if letter.is_ascii_uppercase() && after_small {
            name.push('_');
        }
        after_small = letter.is_ascii_lowercase();
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn alerts_have_their_names_of_the_standard() {
        assert_eq!(Failure::Alert(44).to_string(), "alert certificate_revoked");
        assert_eq!(Failure::Alert(48).to_string(), "alert unknown_ca");
        assert_eq!(Failure::Alert(116).to_string(), "alert certificate_required");
    }

    #[test]
    fn what_tls_says_inside_an_io_error_is_found() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
        let error = io::Error::new(ErrorKind::InvalidData, alert);
        assert_eq!(Failure::of(&error).to_string(), "alert certificate_expired");
        let error = rustls::CertificateError::Expired;
        let error = io::Error::other(rustls::Error::InvalidCertificate(error));
        assert_eq!(Failure::of(&error), Failure::ServerCertificate);
    }

    #[test]
    fn errors_of_the_system_keep_their_kinds_apart() {
        assert_eq!(Failure::of(&ErrorKind::ConnectionRefused.into()), Failure::Refused);
        assert_eq!(Failure::of(&ErrorKind::BrokenPipe.into()), Failure::Reset);
        assert_eq!(Failure::of(&ErrorKind::UnexpectedEof.into()), Failure::Closed);
        assert_eq!(Failure::of(&io::Error::from_raw_os_error(EMFILE)), Failure::Exhausted);
        assert_eq!(Failure::of(&io::Error::from_raw_os_error(113)).to_string(), "system error 113");
    }
}
