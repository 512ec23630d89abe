//! A stream's answer on its way from an HTTP/1.1 target to the client.
//!
//! [`super::stream`] polls it beside the request's content.
//! Bound: `limits::INTERIM_ANSWERS_MAX`.
use super::idle::Idle;
use super::stream::Stream;
use crate::clock;
use crate::close::Reason;
use crate::http::body::Transfer;
use crate::http::h2::answer;
use crate::http::head::{Body, Malformed, response, slots};
use crate::http::trailers::{self, Filter};
use crate::limits;
use crate::net::Buf;
use crate::observe::access_log::Record;
use crate::shard::front::Rules;
use crate::shard::outcome::{IncompleteAnswer, Told};
use crate::shard::target::{Target, timed_out};
use http::HeaderMap;
use std::cell::Cell;
use std::pin::pin;
use std::time::Instant;

impl Stream {
    /// The answer, from the target to the client.
    pub(super) async fn download(
        &self,
        target: Target<'_>,
        idle: &Idle,
        uploaded: &Cell<bool>,
    ) -> Result<KeepTarget, IncompleteAnswer> {
        let mut received = Buf::take();
        let floor = self.floors().answer;
        let head = self.final_head(target, uploaded, &mut received).await?;
        idle.moved();
        let failed = |reason, told| IncompleteAnswer { reason, told, silent: false };
        let Rules { listener, forbidden, .. } = &*self.sender.rules;
        let trailers = Filter::of_response(head.trailers_may_pass, forbidden, &listener.attributes);
        let mut transfer = Transfer::new(head.body, Body::UntilClose, trailers);
        let status = head.response.status().as_u16();
        self.sender.connection().count_response(status);
        self.note(|record| {
            record.answered(status, Instant::now());
            record.elb_status = Some(status);
        });
        self.sender
            .begin(head.response, transfer.is_done())
            .map_err(|reason| failed(reason, Told::Part))?;
        let failed = |reason| failed(reason, Told::Part);
        while !transfer.is_done() {
            let mut out = Buf::default();
            transfer.step(&mut received, &mut out).map_err(|_| failed(Reason::TargetMalformed))?;
            if !out.is_empty() {
                let last = transfer.is_done() && !transfer.has_trailers();
                let sending = pin!(self.sender.send(out.into(), last, idle, floor));
                target.while_client(sending).await.map_err(failed)?;
                continue;
            }
            if transfer.is_done() {
                break;
            }
            match target.receive(&mut received, uploaded.get()).await.map_err(failed)? {
                0 if transfer.ends_by_close() => transfer.close(&mut out),
                0 => return Err(failed(Reason::TargetClosed)),
                _ => idle.moved(),
            }
        }
        let mut trailers = HeaderMap::new();
        transfer.write_trailers(&mut trailers);
        self.sender.end(trailers);
        Ok(KeepTarget(head.keep_target && received.is_empty()))
    }

    /// Reads up to the final response head; interim ones go on.
    async fn final_head(
        &self,
        target: Target<'_>,
        uploaded: &Cell<bool>,
        received: &mut Buf,
    ) -> Result<Head, IncompleteAnswer> {
        let mut silent = true;
        for _ in 0..=limits::INTERIM_ANSWERS_MAX {
            let parse = |received: &Buf| {
                self.note(|record| record.answering(Instant::now()));
                self.parse(received)
            };
            let head = target.head(received, uploaded, &mut silent, parse).await;
            let head = head.map_err(|reason| {
                let silent = silent && !timed_out(reason);
                IncompleteAnswer { reason, told: Told::Nothing, silent }
            })?;
            received.consume(head.bytes);
            let status = head.response.status().as_u16();
            if status >= 200 {
                return Ok(head);
            }
            self.note(Record::interim);
            match status {
                // A client of HTTP/2 does not wait for it.
                100 => {}
                _ => self.sender.inform(head.response),
            }
        }
        Err(IncompleteAnswer {
            reason: Reason::TargetMalformed,
            told: Told::Nothing,
            silent: false,
        })
    }

    fn parse(&self, received: &Buf) -> Result<Option<Head>, Malformed> {
        let mut slots = slots();
        let expected = self.asked.expected();
        let Some(read) = response(received, expected, &mut slots)? else { return Ok(None) };
        let Rules { listener, forbidden, .. } = &*self.sender.rules;
        let response =
            answer::of_target(&read, &listener.attributes, forbidden, clock::since_epoch);
        let response = response.ok_or(Malformed::BadStatus)?;
        let (bytes, body) = (read.length, read.body);
        let trailers_may_pass = trailers::may_pass(&read.connection);
        Ok(Some(Head { bytes, body, response, keep_target: read.keep_alive, trailers_may_pass }))
    }
}

/// A response head that has been read, as it goes on.
struct Head {
    bytes: usize,
    body: Body,
    response: http::Response<()>,
    keep_target: bool,
    trailers_may_pass: bool,
}

/// Whether the target's connection can serve another request.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeepTarget(pub(super) bool);
