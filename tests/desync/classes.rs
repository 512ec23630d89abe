//! ALB's own classifier, `http_desync_guardian` in its last release, as the oracle of classes and reasons.
//!
//! Where it answers otherwise than we do, a row of [`DIFFERENCES`] must say why, and every row must be
//! needed. What is let in does not hang on any of them: it has to be good once it is mended.
use crate::corpus::message;
use crate::is_long;
use http_desync_guardian::RequestSafetyTier;
use http_desync_guardian::request_analyzer::HttpRequestData;
use portcullis::http::desync::{self, ClassReason, Mode};
use std::collections::BTreeMap;

/// A difference that is known.
struct Difference {
    /// Our reason, such as `BadUri`; empty for any.
    ours: &'static str,
    /// Theirs; empty for any.
    theirs: &'static str,
    applies: fn(&Head) -> bool,
    /// Whether we may let in what they would have refused, or closed the connections after.
    laxer: bool,
    why: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        ours: "",
        theirs: "MissingUri",
        applies: |head| head.request_line().is_empty(),
        laxer: true,
        why: "They take an empty line before a request for its request line; we skip one (RFC 9112, \
              section 2.2).",
    },
    Difference {
        ours: "",
        theirs: "",
        applies: |head| head.request_line().is_empty(),
        laxer: false,
        why: "The same: then the request line is a header to them.",
    },
    Difference {
        ours: "",
        theirs: "Compliant",
        applies: |head| head.version() >= "HTTP/2",
        laxer: false,
        why: "They look no further at a version that sorts behind HTTP/1.x, such as http/1.1.",
    },
    Difference {
        ours: "SuspiciousTeClPresent",
        theirs: "",
        applies: |head| head.has("length") && head.has("encod"),
        laxer: false,
        why: "The reason is on ALB's list and came after their release.",
    },
    Difference {
        ours: "MultipleTransferEncodingChunked",
        theirs: "",
        applies: |head| head.text.to_lowercase().matches("chunked").count() > 1,
        laxer: false,
        why: "Chunked twice is no fault to them with another coding in between.",
    },
    Difference {
        ours: "",
        theirs: "",
        applies: |head| head.version() <= "HTTP/1.0" && head.has("encod"),
        laxer: false,
        why: "Of HTTP/1.0 and earlier with a coding they look at no length and no value; the most \
              severe wins.",
    },
    Difference {
        ours: "",
        theirs: "",
        applies: |head| head.version() < "HTTP/1.0" && head.has("length"),
        laxer: false,
        why: "The same of versions before HTTP/1.0 with a length.",
    },
    Difference {
        ours: "BadContentLength",
        theirs: "",
        applies: |head| {
            head.fields().any(|(name, value)| name.contains("length") && value.is_empty())
        },
        laxer: false,
        why: "An empty length is 0 to them; it is no number (RFC 9110, section 8.6).",
    },
    Difference {
        ours: "BadContentLength",
        theirs: "",
        applies: |head| {
            ["9223372036854775808", "18446744073709551615"].iter().any(|n| head.text.contains(n))
        },
        laxer: false,
        why: "Lengths of 64 bits are good to them; a target whose lengths are signed reads others.",
    },
    Difference {
        ours: "MultilineHeader",
        theirs: "",
        applies: |head| head.is_folded() && head.has("content-type"),
        laxer: false,
        why: "A folded Content-Type is good to them (RFC 7230 let message/http fold).",
    },
    Difference {
        ours: "",
        theirs: "",
        applies: |head| head.is_folded(),
        laxer: false,
        why: "They take a folded line for another header of the name above: a blank line behind \
              Content-Length is a second length, of 0. To us it has no name of its own.",
    },
    Difference {
        ours: "",
        theirs: "",
        applies: |head| head.headers().any(|line| !line.contains(':')),
        laxer: false,
        why: "They read a line without a colon as a name without a value: a length of 0.",
    },
    Difference {
        ours: "BadMethod",
        theirs: "",
        applies: |head| head.request_line().starts_with(' '),
        laxer: false,
        why: "A method of no characters has no bad ones to them.",
    },
    Difference {
        ours: "MissingUri",
        theirs: "",
        applies: |head| head.request_line().contains("  HTTP/"),
        laxer: false,
        why: "A target of no characters, between two spaces, is good to them.",
    },
    Difference {
        ours: "",
        theirs: "",
        applies: |head| {
            let disguised = |name: &str| {
                let hyphen = name.find(|letter: char| letter <= ' ');
                hyphen.is_some_and(|at| ["content", "transfer"].contains(&&name[..at]))
            };
            head.fields().any(|(name, _)| disguised(&name))
        },
        laxer: false,
        why: "They do not see Content-Length in a name with a blank or a control character for its hyphen.",
    },
    Difference {
        ours: "",
        theirs: "",
        applies: |head| {
            let cut = |name: &str| {
                let name = name.replace("\u{c5}\u{bf}", "s").replace("\u{c4}\u{b1}", "i");
                let letters = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "");
                let begins =
                    |whole: &str| whole.len() > letters.len() && whole.starts_with(&letters);
                name.len() >= "content-length".len()
                    && (begins("contentlength") || begins("transferencoding"))
            };
            head.fields().any(|(name, _)| cut(&name))
        },
        laxer: true,
        why: "The beginning of a name, filled up with what is no letter, is suspicious to them; no reader takes \
              it for the whole.",
    },
];

/// A message as the rows look at it.
struct Head {
    /// All of it; characters are bytes.
    text: String,
}

impl Head {
    fn of(bytes: &[u8]) -> Self {
        Self { text: bytes.iter().map(|byte| char::from(*byte)).collect() }
    }

    /// The lines; the first is the request's.
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n').map(|line| line.trim_end_matches('\r'))
    }

    fn request_line(&self) -> &str {
        self.lines().next().unwrap_or_default()
    }

    fn headers(&self) -> impl Iterator<Item = &str> {
        self.lines().skip(1).take_while(|line| !line.is_empty())
    }

    /// Names in lower case, and values without blanks around them.
    fn fields(&self) -> impl Iterator<Item = (String, &str)> {
        let fields = self.headers().filter_map(|line| line.split_once(':'));
        fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
    }

    /// Whether the name of a header has this in it.
    fn has(&self, part: &str) -> bool {
        self.fields().any(|(name, _)| name.contains(part))
    }

    fn is_folded(&self) -> bool {
        self.headers().any(|line| line.starts_with([' ', '\t']))
    }

    /// The last of three words of the first line; of fewer there is no version.
    fn version(&self) -> &str {
        match self.request_line().trim_end().rsplit_once(' ') {
            Some((rest, version)) if rest.contains(' ') => version,
            _ => "",
        }
    }
}

/// Our reason for a head that is whole.
fn ours(bytes: &[u8]) -> Option<&'static str> {
    let ended = |end: &[u8]| bytes.windows(end.len()).any(|window| window == end);
    if !ended(b"\n\r\n") && !ended(b"\n\n") {
        return None;
    }
    let reason = match desync::request(bytes, Mode::Monitor, |request| request.class_reason) {
        Ok(read) => read?,
        Err(refused) => refused.class_reason,
    };
    Some(reason.map_or("Compliant", ClassReason::word))
}

/// The class that a request would have by what becomes of it.
fn treated_as(bytes: &[u8]) -> RequestSafetyTier {
    let closes = desync::request(bytes, Mode::Defensive, |request| request.closes);
    let strictest = desync::request(bytes, Mode::Strictest, |_| ());
    match (closes, strictest) {
        (Err(_), _) => RequestSafetyTier::Severe,
        (Ok(Some(true)), _) => RequestSafetyTier::Ambiguous,
        (_, Err(_)) => RequestSafetyTier::Acceptable,
        (_, Ok(_)) => RequestSafetyTier::Compliant,
    }
}

/// Goal: what ALB's users know of classes is so here, and where it is not, nothing more gets in. Method:
/// each message of the corpus, judged by both.
#[test]
fn classes_and_reasons_are_those_of_albs_classifier_but_for_written_differences() {
    let count = if is_long() { 500_000 } else { 50_000 };
    let mut needed = vec![0; DIFFERENCES.len()];
    let (mut judged, mut same, mut by_reason) = (0, 0, BTreeMap::new());
    let mut unexplained = BTreeMap::new();
    for message in (0..count).map(message) {
        let Some(ours) = ours(&message) else { continue };
        let theirs = HttpRequestData::analyze_raw_request(&message);
        let (tier, theirs) = (theirs.tier, format!("{:?}", theirs.reason));
        judged += 1;
        let is_laxer = treated_as(&message) < tier;
        if ours == theirs && !is_laxer {
            same += 1;
            *by_reason.entry(ours).or_insert(0) += 1;
            continue;
        }
        let head = Head::of(&message);
        let explains = |row: &Difference| {
            (row.ours.is_empty() || row.ours == ours)
                && (row.theirs.is_empty() || row.theirs == theirs)
                && (row.laxer || !is_laxer)
                && (row.applies)(&head)
        };
        match DIFFERENCES.iter().position(explains) {
            Some(row) => needed[row] += 1,
            None => {
                let shown = message.escape_ascii().to_string();
                unexplained.insert((ours, theirs, is_laxer), shown);
            }
        }
    }
    println!("{judged} judged, {same} alike: {by_reason:?}; differences by row: {needed:?}");
    assert!(unexplained.is_empty(), "(ours, theirs, let in): an example {unexplained:#?}");
    for (row, times) in DIFFERENCES.iter().zip(needed) {
        assert!(times > 0, "this row is not needed: {}", row.why);
    }
    // The test means something only while both agree often, and on every reason that both know.
    assert!(same * 10 > judged * 8, "{same} of {judged}");
    for reason in ClassReason::ALL {
        let is_ours_alone = reason == ClassReason::SuspiciousTeClPresent;
        assert!(
            is_ours_alone || by_reason.get(reason.word()) > Some(&5),
            "{reason:?}: {by_reason:?}"
        );
    }
}
