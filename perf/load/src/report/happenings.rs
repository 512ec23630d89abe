//! Refusals, losses, changes and certificates, as they are told.
use crate::events::{Certificate, Ended, Event, Events, Whose};
use crate::failure::Failure;
use serde::Serialize;
use std::collections::BTreeMap;
use x509_parser::prelude::parse_x509_certificate;

/// What happened at which time.
#[derive(Debug, Serialize)]
pub(super) struct Happenings {
    pub(super) refusals: Vec<Refusal>,
    /// More of them, which nobody has kept.
    pub(super) refusals_untold: u64,
    /// Connections that were open and are no more, by kind.
    pub(super) lost: BTreeMap<String, u64>,
    /// Kept connections that could not be opened anew, by kind.
    pub(super) kept_refused: BTreeMap<String, u64>,
    /// Kept connections that the server has ended between two requests.
    pub(super) ended: u64,
    /// Requests on kept connections that were answered.
    pub(super) kept_requests: u64,
    pub(super) changes: Vec<Change>,
    /// How many of them could not be made.
    pub(super) failed_changes: usize,
    pub(super) server_certificates: Vec<Shown>,
}

/// A connection that was refused or lost.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    pub(super) at_seconds: f64,
    pub(super) connection: Whose,
    pub(super) client: String,
    pub(super) reason: String,
}

/// A command that was run.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) at_seconds: f64,
    pub(super) took_seconds: f64,
    /// None when it was killed or could not be started, or was cut off.
    pub(super) exit_status: Option<i32>,
    /// The run ended before it.
    pub(super) cut_off: bool,
}

/// A certificate of the server.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) serial: String,
    pub(super) subject: String,
    pub(super) connections: u64,
    pub(super) first_seconds: f64,
    pub(super) last_seconds: f64,
}

impl Happenings {
    pub(super) fn of(events: &Events) -> Self {
        let by_kind = |counts: &BTreeMap<Failure, u64>| {
            counts.iter().map(|(kind, count)| (kind.to_string(), *count)).collect()
        };
        let changes = events.changes().iter().map(|change| Change {
            at_seconds: change.at.as_secs_f64(),
            took_seconds: change.took.as_secs_f64(),
            exit_status: match change.ended {
                Ended::Exit(status) => Some(status),
                Ended::Killed | Ended::CutOff => None,
            },
            cut_off: change.ended == Ended::CutOff,
        });
        Self {
            refusals: events.told().iter().map(Refusal::of).collect(),
            refusals_untold: events.untold(),
            lost: by_kind(events.lost()),
            kept_refused: by_kind(events.kept_refused()),
            ended: events.ended(),
            kept_requests: events.answered(),
            changes: changes.collect(),
            failed_changes: events.failed_changes(),
            server_certificates: events.certificates().iter().map(Shown::of).collect(),
        }
    }
}

impl Refusal {
    fn of(event: &Event) -> Self {
        Self {
            at_seconds: event.at.as_secs_f64(),
            connection: event.whose,
            client: event.client.clone(),
            reason: event.failure.to_string(),
        }
    }
}

impl Shown {
    fn of(shown: &Certificate) -> Self {
        let parsed = parse_x509_certificate(&shown.der);
        let (serial, subject) = parsed.map_or_else(
            |_| ("?".to_owned(), "?".to_owned()),
            |(_, parsed)| (parsed.raw_serial_as_string(), parsed.subject().to_string()),
        );
        Self {
            serial,
            subject,
            connections: shown.count,
            first_seconds: shown.first.as_secs_f64(),
            last_seconds: shown.last.as_secs_f64(),
        }
    }
}
