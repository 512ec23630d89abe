//! Actions. Source: `alb-contract.md`, section 3.3.
use super::listener::Known;
use crate::config::Faults;
use crate::config::faults::OrNote;
use crate::config::written::{self, ActionType, ContentType, Protocol};
use crate::route::{Action, FixedResponse};
use crate::target::ProtocolVersion;
use crate::tls::server::Protocols;
use std::sync::Arc;

/// The one action of a listener's `default_actions`.
///
/// * `protocols`: versions of HTTP that its clients may speak.
pub(super) fn default_action(
    written: &written::Listener,
    protocols: Protocols,
    known: &Known<'_>,
    faults: &mut Faults,
) -> Option<Action> {
    let actions = &written.default_actions.0;
    let mut compiled = None;
    for (index, action_written) in actions {
        compiled = faults.element("default_actions", *index, |faults| {
            let action = action(action_written, known, faults)?;
            judge_versions(&action, written.protocol, protocols, faults);
            Some(action)
        });
    }
    match actions.len() {
        1 => compiled,
        0 => {
            let message = "there is no action: forward or fixed-response";
            faults.note_missing("default_actions", message);
            None
        }
        _ => {
            faults.note("default_actions", "there is more than one action");
            None
        }
    }
}

/// Whether clients of the listener can speak what the action's targets do (`alb-contract.md`, section 4.6).
fn judge_versions(action: &Action, listener: Protocol, protocols: Protocols, faults: &mut Faults) {
    let group = match action {
        Action::Forward(group) if group.protocol_version != ProtocolVersion::Http1 => group,
        Action::Forward(_) | Action::FixedResponse(_) => return,
    };
    let said = format!("{} has protocol_version: {}", group.name, group.protocol_version.word());
    match (listener, protocols) {
        (Protocol::Http, _) => {
            faults.note("target_group", format!("{said}, which needs protocol: HTTPS here"));
        }
        (Protocol::Https, Protocols::Http1) => {
            let message = format!("{said}, and HTTP/2 is off: every request gets 464");
            faults.warn("target_group", message);
        }
        (Protocol::Https, Protocols::Http2) => {}
    }
}

fn action(written: &written::Action, known: &Known<'_>, faults: &mut Faults) -> Option<Action> {
    match written.action_type {
        ActionType::Forward => {
            if written.fixed_response_config.is_some() {
                faults.note("fixed_response_config", "belongs to the type fixed-response");
            }
            let Some(name) = &written.target_group else {
                faults.note_missing("target_group", "the type forward needs one");
                return None;
            };
            let group =
                faults.within("target_group", |faults| known.target_groups.find(name, faults))?;
            Some(Action::Forward(Arc::clone(group)))
        }
        ActionType::FixedResponse => {
            if written.target_group.is_some() {
                faults.note("target_group", "belongs to the type forward");
            }
            let Some(response) = &written.fixed_response_config else {
                faults.note_missing("fixed_response_config", "the type fixed-response needs one");
                return None;
            };
            faults
                .within("fixed_response_config", |faults| fixed_response(response, faults))
                .map(Action::FixedResponse)
        }
    }
}

fn fixed_response(written: &written::FixedResponse, faults: &mut Faults) -> Option<FixedResponse> {
    let status = status(&written.status_code.0).or_note(faults, "status_code");
    if written.message_body.len() > BODY_BYTES_MAX {
        faults.note("message_body", format_args!("is over the limit of {BODY_BYTES_MAX} bytes"));
        return None;
    }
    let content_type = match written.content_type {
        ContentType::Plain => "text/plain",
        ContentType::Css => "text/css",
        ContentType::Html => "text/html",
        ContentType::JavaScript => "application/javascript",
        ContentType::Json => "application/json",
    };
    Some(FixedResponse {
        status: status?,
        content_type: content_type.to_owned(),
        body: written.message_body.clone(),
    })
}

fn status(written: &str) -> Result<u16, String> {
    let status = written.parse().ok().filter(|_| written.len() == 3);
    status
        .filter(|status| matches!(status, 200..=299 | 400..=599))
        .ok_or_else(|| format!("{written} is not a status from 200 to 299 or from 400 to 599"))
}

/// ALB's limit.
const BODY_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_status_begins_with_2_4_or_5() {
        for (written, expected) in
            [("200", Some(200)), ("299", Some(299)), ("404", Some(404)), ("599", Some(599))]
        {
            assert_eq!(status(written).ok(), expected);
        }
        for written in ["199", "300", "399", "600", "0200", "+20", "", "2xx", "99999"] {
            assert!(status(written).is_err(), "{written}");
        }
    }
}
