//! How an attempt fails: the kinds under which errors are counted.
use rustls::CertificateError;
use std::fmt;
use std::io;

/// Why an attempt failed. Its text is the key in tables and JSON.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Failure {
    /// Nobody listens there.
    Refused,
    /// No way leads there.
    Unreachable,
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
    /// The answer is no HTTP, or has no end that can be known before the next request.
    Answer,
    /// HTTP/2: the server reset the stream, with this error code.
    Stream(u32),
    /// HTTP/2: the server ended the connection, with this error code.
    GoAway(u32),
    /// HTTP/2 was asked for, and the server did not choose it.
    NotHttp2,
    /// The server's certificate is not the one that was asked for.
    ServerCertificate(CertificateFault),
    /// What the server says is no TLS.
    NotTls,
    /// The server does not keep to TLS, or has nothing in common with us.
    Tls,
    /// An open loop: so many were under way that this one was not begun.
    NotBegun,
    /// No local port or no file is left: the machine of the load is at its end.
    Exhausted,
    /// Another error of the system's, by its number.
    System(i32),
}

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum CertificateFault {
    Untrusted,
    Name,
    Expired,
    NotYetValid,
    Other,
}

impl Failure {
    /// From what a socket, or TLS on it, has said.
    pub(crate) fn of(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::of_tls(tls);
        }
        let kinds = [
            (io::ErrorKind::ConnectionRefused, Self::Refused),
            (io::ErrorKind::HostUnreachable, Self::Unreachable),
            (io::ErrorKind::NetworkUnreachable, Self::Unreachable),
            (io::ErrorKind::ConnectionReset, Self::Reset),
            (io::ErrorKind::ConnectionAborted, Self::Reset),
            (io::ErrorKind::BrokenPipe, Self::Reset),
            (io::ErrorKind::UnexpectedEof, Self::Closed),
            (io::ErrorKind::TimedOut, Self::Timeout),
            (io::ErrorKind::AddrNotAvailable, Self::Exhausted),
            (io::ErrorKind::AddrInUse, Self::Exhausted),
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
        if let rustls::Error::InvalidCertificate(fault) = error {
            return Self::ServerCertificate(CertificateFault::of(fault));
        }
        if let rustls::Error::InvalidMessage(_) = error {
            return Self::NotTls;
        }
        Self::Tls
    }

    /// From what an HTTP/2 connection has said.
    pub(crate) fn of_http2(error: &h2::Error) -> Self {
        let code = error.reason().map(u32::from).unwrap_or_default();
        match error.get_io() {
            Some(error) => Self::of(error),
            None if error.is_remote() && error.is_go_away() => Self::GoAway(code),
            None if error.is_remote() && error.is_reset() => Self::Stream(code),
            None => Self::Answer,
        }
    }

    /// Whether a connection of several streams is as good as before.
    pub(crate) fn spares_connection(self) -> bool {
        matches!(self, Self::Status(_) | Self::Stream(_) | Self::NotBegun)
    }

    /// A sentence for whoever sees the very first attempt fail.
    ///
    /// * `connect`: where to; `name`: who was asked for.
    pub(crate) fn sentence(self, connect: &str, name: &str) -> String {
        match self {
            Self::Refused => format!("{connect}: nobody listens there"),
            Self::Unreachable => format!("{connect}: no route leads there"),
            Self::Alert(_) => format!("{connect} refused the first attempt: {self}"),
            Self::Status(_) => format!("{connect} answered the first request with {self}"),
            Self::NotTls => format!("{connect}: the server there does not speak TLS"),
            Self::NotHttp2 => format!("{connect}: the server there does not speak HTTP/2"),
            Self::ServerCertificate(fault) => {
                let what = match fault {
                    CertificateFault::Untrusted => "does not come from --ca".to_owned(),
                    CertificateFault::Name => format!("is not for {name}"),
                    CertificateFault::Expired => "has expired".to_owned(),
                    CertificateFault::NotYetValid => "is not valid yet".to_owned(),
                    CertificateFault::Other => "cannot be used".to_owned(),
                };
                format!("{connect}: the server's certificate {what}")
            }
            Self::Timeout => format!("{connect}: no answer in time"),
            Self::Reset
            | Self::Closed
            | Self::Answer
            | Self::Stream(_)
            | Self::GoAway(_)
            | Self::Tls
            | Self::NotBegun
            | Self::Exhausted
            | Self::System(_) => format!("{connect}: the first attempt failed: {self}"),
        }
    }
}

impl CertificateFault {
    /// Each fault comes bare, or with its circumstances.
    fn of(error: &CertificateError) -> Self {
        use CertificateError as Error;
        if matches!(error, Error::UnknownIssuer | Error::BadSignature) {
            return Self::Untrusted;
        }
        if matches!(error, Error::NotValidForName | Error::NotValidForNameContext { .. }) {
            return Self::Name;
        }
        if matches!(error, Error::Expired | Error::ExpiredContext { .. }) {
            return Self::Expired;
        }
        if matches!(error, Error::NotValidYet | Error::NotValidYetContext { .. }) {
            return Self::NotYetValid;
        }
        Self::Other
    }
}

/// errno(3), the same on every Linux.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Reset => f.write_str("reset"),
            Self::Closed => f.write_str("closed"),
            Self::Alert(code) => match ALERTS.iter().find(|(number, _)| number == code) {
                Some((_, name)) => write!(f, "alert {name}"),
                None => write!(f, "alert {code}"),
            },
            Self::Timeout => f.write_str("timeout"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Answer => f.write_str("bad answer"),
            Self::Stream(code) => write!(f, "stream reset {}", reason_name(*code)),
            Self::GoAway(code) => write!(f, "goaway {}", reason_name(*code)),
            Self::NotHttp2 => f.write_str("no HTTP/2"),
            Self::ServerCertificate(fault) => match fault {
                CertificateFault::Untrusted => f.write_str("server certificate untrusted"),
                CertificateFault::Name => f.write_str("server certificate for another name"),
                CertificateFault::Expired => f.write_str("server certificate expired"),
                CertificateFault::NotYetValid => f.write_str("server certificate not valid yet"),
                CertificateFault::Other => f.write_str("server certificate unusable"),
            },
            Self::NotTls => f.write_str("no TLS"),
            Self::Tls => f.write_str("TLS"),
            Self::NotBegun => f.write_str("not begun"),
            Self::Exhausted => f.write_str("no port or file left"),
            Self::System(number) => write!(f, "system error {number}"),
        }
    }
}

/// The names of the alerts. Source: RFC 8446, appendix B.2, and the registry "TLS Alerts" of IANA.
const ALERTS: [(u8, &str); 35] = [
    (0, "close_notify"),
    (10, "unexpected_message"),
    (20, "bad_record_mac"),
    (21, "decryption_failed"),
    (22, "record_overflow"),
    (30, "decompression_failure"),
    (40, "handshake_failure"),
    (41, "no_certificate"),
    (42, "bad_certificate"),
    (43, "unsupported_certificate"),
    (44, "certificate_revoked"),
    (45, "certificate_expired"),
    (46, "certificate_unknown"),
    (47, "illegal_parameter"),
    (48, "unknown_ca"),
    (49, "access_denied"),
    (50, "decode_error"),
    (51, "decrypt_error"),
    (60, "export_restriction"),
    (70, "protocol_version"),
    (71, "insufficient_security"),
    (80, "internal_error"),
    (86, "inappropriate_fallback"),
    (90, "user_canceled"),
    (100, "no_renegotiation"),
    (109, "missing_extension"),
    (110, "unsupported_extension"),
    (111, "certificate_unobtainable"),
    (112, "unrecognized_name"),
    (113, "bad_certificate_status_response"),
    (114, "bad_certificate_hash_value"),
    (115, "unknown_psk_identity"),
    (116, "certificate_required"),
    (120, "no_application_protocol"),
    (121, "ech_required"),
];

/// `refused_stream`; RFC 9113, section 7, has it in capitals.
fn reason_name(code: u32) -> String {
    format!("{:?}", h2::Reason::from(code)).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::AlertDescription;
    use std::io::ErrorKind;

    #[test]
    fn alerts_and_http2_errors_have_their_names_of_the_standard() {
        assert_eq!(Failure::Alert(44).to_string(), "alert certificate_revoked");
        assert_eq!(Failure::Alert(48).to_string(), "alert unknown_ca");
        assert_eq!(Failure::Alert(115).to_string(), "alert unknown_psk_identity");
        assert_eq!(Failure::Alert(116).to_string(), "alert certificate_required");
        assert_eq!(Failure::Alert(200).to_string(), "alert 200");
        assert_eq!(Failure::Stream(7).to_string(), "stream reset refused_stream");
        assert_eq!(Failure::GoAway(11).to_string(), "goaway enhance_your_calm");
    }

    #[test]
    fn what_tls_says_inside_an_io_error_is_found() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
        let error = io::Error::new(ErrorKind::InvalidData, alert);
        assert_eq!(Failure::of(&error).to_string(), "alert certificate_expired");
        let faults = [
            (CertificateError::Expired, CertificateFault::Expired),
            (CertificateError::UnknownIssuer, CertificateFault::Untrusted),
            (CertificateError::NotValidForName, CertificateFault::Name),
            (CertificateError::Revoked, CertificateFault::Other),
        ];
        for (error, fault) in faults {
            let error = io::Error::other(rustls::Error::InvalidCertificate(error));
            assert_eq!(Failure::of(&error), Failure::ServerCertificate(fault));
        }
    }

    #[test]
    fn errors_of_the_system_keep_their_kinds_apart() {
        assert_eq!(Failure::of(&ErrorKind::ConnectionRefused.into()), Failure::Refused);
        assert_eq!(Failure::of(&ErrorKind::BrokenPipe.into()), Failure::Reset);
        assert_eq!(Failure::of(&ErrorKind::UnexpectedEof.into()), Failure::Closed);
        assert_eq!(Failure::of(&io::Error::from_raw_os_error(EMFILE)), Failure::Exhausted);
        assert_eq!(Failure::of(&io::Error::from_raw_os_error(113)), Failure::Unreachable);
        assert_eq!(Failure::of(&io::Error::from_raw_os_error(5)).to_string(), "system error 5");
    }
}
