//! The access log's record of a request, from the step in which the request begins to its line.
//!
//! Whoever serves the request notes what becomes of it. Without an access log there is no record: nothing
//! is copied, no clock is read.
use super::connection::{Client, Connection};
use super::front::Rules;
use super::request::Decision;
use crate::clock;
use crate::close::Reason;
use crate::observe::access_log::{self, Entrance, Executed, Line, Record, Tls};
use std::cell::RefCell;
use std::time::Instant;

/// The record of one request; nothing where there is no access log.
#[derive(Debug, Default)]
pub(super) struct Recording(RefCell<Option<Box<Record>>>);

impl Recording {
    /// Of a request that begins now.
    pub(super) fn begin(connection: &Connection, client: &Client, rules: &Rules) -> Self {
        let record = rules.logs.access.is_some().then(|| {
            let entrance = Entrance {
                tls: client.tls_names.is_some(),
                address: connection.address,
                port: connection.front.port,
            };
            let mut record = Record::new(entrance, clock::since_epoch(), Instant::now());
            record.generation = rules.generation;
            Box::new(record)
        });
        Self(RefCell::new(record))
    }

    /// Notes something, where there is a record.
    pub(super) fn note(&self, note: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut *self.0.borrow_mut() {
            note(record);
        }
    }

    /// Notes what is done with the request.
    pub(super) fn decided(&self, decision: Decision<'_>, rules: &Rules) {
        self.note(|record| {
            record.generation = rules.generation;
            match decision {
                Decision::Answer(_) => record.action = Some(Executed::FixedResponse),
                Decision::Forward(group) => {
                    record.action = Some(Executed::Forward);
                    record.target_group = Some(group.arn.clone());
                }
                Decision::Refuse(refusal) => record.reason = Some(refusal.code()),
                Decision::Turn(_) => {}
            }
            if record.action.is_some() {
                record.matched_rule_priority = Some(DEFAULT_RULE);
            }
        });
    }

    /// It was no request after all.
    pub(super) fn forget(&self) {
        self.0.take();
    }

    /// Writes the line of a request that is over, `because` of this where it was not served to its end.
    pub(super) fn finish(&self, connection: &Connection, client: &Client, because: Option<Reason>) {
        let Some(mut record) = self.0.take() else { return };
        if let Some(reason) = because {
            record.failed(reason);
        }
        let rules = connection.front.rules();
        // It may have been switched off meanwhile.
        let Some(log) = &rules.logs.access else { return };
        let tls = client.tls_names.map(|(protocol, cipher)| Tls {
            protocol,
            cipher,
            server_name: client.server_name.as_deref(),
            certificate: client.shown.as_ref().map(|shown| &*shown.certificate),
            is_for_name: client.shown.as_ref().is_some_and(|shown| shown.is_for_name),
            resumed: client.resumed,
        });
        let line = Line {
            record: &record,
            connection: access_log::Connection {
                client: connection.client,
                address: connection.address,
                elb: &log.elb,
                tls,
                trace_id: connection.trace_id(),
                listener: &rules.listener.name,
            },
            ended: Instant::now(),
        };
        connection.shard.logging.add(log, |form, out| line.write(form, out));
    }
}

/// The priority of the default rule, in the log.
const DEFAULT_RULE: i32 = 0;
