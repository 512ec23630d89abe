//! ALB's classes of requests that are not as the standard says, its reasons for them, and what each mode of
//! desync mitigation does with them.
//!
//! Values alone: `head` and `desync` give classes, `attributes` has the mode.
//! Source: `alb-contract.md`, sections 2.4 and 5.1.

/// `routing.http.desync_mitigation_mode`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// Counts, and refuses only what cannot be written anew with one meaning.
    Monitor,
    /// Refuses what is severe, and closes both connections after what is ambiguous.
    #[default]
    Defensive,
    /// Refuses all that does not comply.
    Strictest,
}

/// What is done with a request of some class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// It goes on.
    Route,
    /// It goes on, and is the last on the connections of its client and its target.
    RouteAndClose,
    /// It is answered, and its client's connection closes.
    Refuse,
}

impl Mode {
    /// What is done with a request that has a class for this reason.
    pub const fn action(self, reason: ClassReason) -> Action {
        use Action::{Refuse, Route, RouteAndClose};
        let (monitor, defensive, strictest) = match reason {
            ClassReason::GetHeadZeroContentLength
            | ClassReason::NonCompliantHeader
            | ClassReason::NonCompliantVersion
            | ClassReason::SpaceInUri => (Route, Route, Refuse),
            ClassReason::DuplicateContentLength => (Route, RouteAndClose, Refuse),
            // A target may leave content of GET and HEAD unread (RFC 9110, section 9.3.1): on a kept connection
            // it would be the beginning of another client's request.
            ClassReason::UndefinedContentLengthSemantics
            | ClassReason::UndefinedTransferEncodingSemantics => {
                (RouteAndClose, RouteAndClose, Refuse)
            }
            // RFC 9112, section 6.1, of both a length and a coding: "the server MUST close the
            // connection after responding to such a request". A client that goes by what is left out of
            // the others finds its request's end elsewhere, too.
            ClassReason::BothTeClPresent
            | ClassReason::EmptyHeader
            | ClassReason::SuspiciousHeader => (RouteAndClose, RouteAndClose, Refuse),
            ClassReason::SuspiciousTeClPresent => (RouteAndClose, Refuse, Refuse),
            // ALB lets some of these in; nobody can write them anew with one meaning.
            ClassReason::NonCrLfLineTermination
            | ClassReason::AmbiguousUri
            | ClassReason::MultilineHeader
            | ClassReason::MissingHeaderColon
            | ClassReason::MissingUri
            | ClassReason::BadContentLength
            | ClassReason::BadHeader
            | ClassReason::BadMethod
            | ClassReason::BadTransferEncoding
            | ClassReason::BadUri
            | ClassReason::BadVersion
            | ClassReason::MultipleContentLength
            | ClassReason::MultipleTransferEncodingChunked => (Refuse, Refuse, Refuse),
        };
        match self {
            Self::Monitor => monitor,
            Self::Defensive => defensive,
            Self::Strictest => strictest,
        }
    }
}

/// How far a request is from the standard. What complies has no class.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// Not as it should be, and no danger.
    Acceptable,
    /// Two readers may see different requests in it.
    Ambiguous,
    /// Broken, or made to be read in two ways.
    Severe,
}

impl Class {
    /// ALB's word, for the access log and the `class` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Acceptable => "Acceptable",
            Self::Ambiguous => "Ambiguous",
            Self::Severe => "Severe",
        }
    }
}

/// Why a request has its class. The names are ALB's words.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ClassReason {
    /// `Content-Length: 0` with GET or HEAD.
    GetHeadZeroContentLength,
    /// A header name that is no token, or a control character in a value.
    NonCompliantHeader,
    /// HTTP/1.2 to 1.9, HTTP/0.9 (also by no version at all), blanks behind the version.
    NonCompliantVersion,
    /// A space in the target.
    SpaceInUri,
    /// A line that ends in LF without CR.
    NonCrLfLineTermination,
    /// Any other control character in the target.
    AmbiguousUri,
    /// Both a length and a coding.
    BothTeClPresent,
    /// The same length more than once.
    DuplicateContentLength,
    /// A header without a name.
    EmptyHeader,
    /// A name that a reader could take for Content-Length or Transfer-Encoding.
    SuspiciousHeader,
    /// A length over 0 with GET or HEAD, or any with HTTP/0.9.
    UndefinedContentLengthSemantics,
    /// A coding with GET or HEAD, or with HTTP/1.0 or 0.9.
    UndefinedTransferEncodingSemantics,
    /// A line that begins with a blank.
    MultilineHeader,
    /// A header line without a colon.
    MissingHeaderColon,
    /// A request line without a target.
    MissingUri,
    /// A length that is no number.
    BadContentLength,
    /// NUL or CR in a header.
    BadHeader,
    /// A method that is no token.
    BadMethod,
    /// A coding that nobody knows.
    BadTransferEncoding,
    /// NUL or CR in the target.
    BadUri,
    /// A version of no known form.
    BadVersion,
    /// Different lengths.
    MultipleContentLength,
    /// Chunked more than once.
    MultipleTransferEncodingChunked,
    /// Both a length and a coding, one of them under a suspicious name.
    SuspiciousTeClPresent,
}

impl ClassReason {
    /// Every reason, in the order of [`ClassReason::index`].
    pub const ALL: [Self; 24] = [
        Self::GetHeadZeroContentLength,
        Self::NonCompliantHeader,
        Self::NonCompliantVersion,
        Self::SpaceInUri,
        Self::NonCrLfLineTermination,
        Self::AmbiguousUri,
        Self::BothTeClPresent,
        Self::DuplicateContentLength,
        Self::EmptyHeader,
        Self::SuspiciousHeader,
        Self::UndefinedContentLengthSemantics,
        Self::UndefinedTransferEncodingSemantics,
        Self::MultilineHeader,
        Self::MissingHeaderColon,
        Self::MissingUri,
        Self::BadContentLength,
        Self::BadHeader,
        Self::BadMethod,
        Self::BadTransferEncoding,
        Self::BadUri,
        Self::BadVersion,
        Self::MultipleContentLength,
        Self::MultipleTransferEncodingChunked,
        Self::SuspiciousTeClPresent,
    ];

    /// Position in [`ClassReason::ALL`], for arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// ALB's class for it.
    pub const fn class(self) -> Class {
        match self {
            Self::GetHeadZeroContentLength
            | Self::NonCompliantHeader
            | Self::NonCompliantVersion
            | Self::SpaceInUri
            | Self::NonCrLfLineTermination => Class::Acceptable,
            Self::AmbiguousUri
            | Self::BothTeClPresent
            | Self::DuplicateContentLength
            | Self::EmptyHeader
            | Self::SuspiciousHeader
            | Self::UndefinedContentLengthSemantics
            | Self::UndefinedTransferEncodingSemantics
            | Self::MultilineHeader
            | Self::MissingHeaderColon
            | Self::MissingUri => Class::Ambiguous,
            Self::BadContentLength
            | Self::BadHeader
            | Self::BadMethod
            | Self::BadTransferEncoding
            | Self::BadUri
            | Self::BadVersion
            | Self::MultipleContentLength
            | Self::MultipleTransferEncodingChunked
            | Self::SuspiciousTeClPresent => Class::Severe,
        }
    }

    /// ALB's word, for the access log and the `reason` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::GetHeadZeroContentLength => "GetHeadZeroContentLength",
            Self::NonCompliantHeader => "NonCompliantHeader",
            Self::NonCompliantVersion => "NonCompliantVersion",
            Self::SpaceInUri => "SpaceInUri",
            Self::NonCrLfLineTermination => "NonCrLfLineTermination",
            Self::AmbiguousUri => "AmbiguousUri",
            Self::BothTeClPresent => "BothTeClPresent",
            Self::DuplicateContentLength => "DuplicateContentLength",
            Self::EmptyHeader => "EmptyHeader",
            Self::SuspiciousHeader => "SuspiciousHeader",
            Self::UndefinedContentLengthSemantics => "UndefinedContentLengthSemantics",
            Self::UndefinedTransferEncodingSemantics => "UndefinedTransferEncodingSemantics",
            Self::MultilineHeader => "MultilineHeader",
            Self::MissingHeaderColon => "MissingHeaderColon",
            Self::MissingUri => "MissingUri",
            Self::BadContentLength => "BadContentLength",
            Self::BadHeader => "BadHeader",
            Self::BadMethod => "BadMethod",
            Self::BadTransferEncoding => "BadTransferEncoding",
            Self::BadUri => "BadUri",
            Self::BadVersion => "BadVersion",
            Self::MultipleContentLength => "MultipleContentLength",
            Self::MultipleTransferEncodingChunked => "MultipleTransferEncodingChunked",
            Self::SuspiciousTeClPresent => "SuspiciousTeClPresent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_follow_the_list() {
        for (index, reason) in ClassReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason:?}");
        }
    }

    #[test]
    fn words_are_the_names() {
        for reason in ClassReason::ALL {
            assert_eq!(reason.word(), format!("{reason:?}"));
            assert_eq!(reason.class().word(), format!("{:?}", reason.class()));
        }
    }
}
