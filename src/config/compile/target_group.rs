//! Target groups.
use super::{Kept, Named, attributes, name_of_alb, named};
use crate::config::Faults;
use crate::config::faults::OrNote;
use crate::config::snapshot::Name;
use crate::config::written::{self, List};
use crate::limits;
use crate::target::{Group, Place, ProtocolVersion, Target};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

impl Named for written::TargetGroup {
    const SECTION: &'static str = "target_groups";
    const CHECK: fn(&str) -> Result<(), String> = name_of_alb;
    fn name(&self) -> &str {
        &self.name
    }
}

/// All of them. A group whose targets did not change is the same group, with the addresses that its
/// names have resolved to.
pub(super) fn all(
    written: &List<written::TargetGroup>,
    previous: &Kept,
    faults: &mut Faults,
) -> BTreeMap<Name, Arc<Group>> {
    named(written, faults, |name, written, faults| {
        let written::TargetProtocol::Http = written.protocol;
        let protocol_version = match written.protocol_version {
            written::ProtocolVersion::Http1 => ProtocolVersion::Http1,
            written::ProtocolVersion::Http2 => ProtocolVersion::Http2,
            written::ProtocolVersion::Grpc => ProtocolVersion::Grpc,
        };
        attributes::target_group(&written.attributes, faults);
        let targets = targets(&written.targets, faults)?;
        let same = previous
            .target_groups
            .get(name)
            .filter(|group| group.protocol_version == protocol_version && group.targets == targets);
        Some(match same {
            Some(same) => Arc::clone(same),
            None => Arc::new(Group::new(Arc::clone(name), protocol_version, targets)),
        })
    })
}

fn targets(written: &List<written::Target>, faults: &mut Faults) -> Option<Vec<Target>> {
    if written.0.len() > limits::TARGETS_PER_GROUP_MAX {
        let targets_max = limits::TARGETS_PER_GROUP_MAX;
        faults.note("targets", format_args!("a group has at most {targets_max} targets"));
        return None;
    }
    let mut positions: HashMap<Target, usize> = HashMap::new();
    let mut targets = Some(Vec::new());
    for (index, written) in &written.0 {
        let target = faults.element("targets", *index, |faults| {
            let target = target(written, faults)?;
            if let Some(first) = positions.get(&target) {
                faults.note_here(format_args!("targets[{first}] is the same target"));
                return None;
            }
            positions.insert(target.clone(), *index);
            Some(target)
        });
        targets = targets.zip(target).map(|(mut targets, target)| {
            targets.push(target);
            targets
        });
    }
    targets
}

fn target(written: &written::Target, faults: &mut Faults) -> Option<Target> {
    let place = place(&written.id).or_note(faults, "id");
    if written.port == 0 {
        faults.note("port", "a port is from 1 to 65535");
        return None;
    }
    Some(Target { place: place?, port: written.port })
}

fn place(id: &str) -> Result<Place, String> {
    if let Ok(address) = id.parse::<IpAddr>() {
        if address.is_unspecified() || address.is_multicast() {
            return Err(format!("{id} is no address of a target"));
        }
        return Ok(Place::Address(address));
    }
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-')
    };
    let name = id.strip_suffix('.').unwrap_or(id);
    // RFC 1123, section 2.1: a name whose last label is a number would be taken for an address.
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit());
    if name.len() <= 253 && name.split('.').all(label) && !number {
        return Ok(Place::Name(name.to_ascii_lowercase()));
    }
    Err(format!("\"{id}\" is neither an IP address nor a DNS name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_or_a_name() {
        for id in ["10.0.0.5", "::1", "2001:db8::7", "127.0.0.1"] {
            assert_eq!(place(id), Ok(Place::Address(id.parse().unwrap())));
        }
        for (id, name) in [
            ("orders.internal", "orders.internal"),
            ("Orders.Internal.", "orders.internal"),
            ("localhost", "localhost"),
            ("a_b-c.svc", "a_b-c.svc"),
        ] {
            assert_eq!(place(id), Ok(Place::Name(name.to_owned())));
        }
        for id in [
            "",
            ".",
            "10.0.0",
            "10.0.0.256",
            "1.2.3.4.5",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "a..b",
            "-a.b",
            "a b",
            "http://a",
            "a:80",
            "[::1]",
        ] {
            assert!(place(id).is_err(), "{id}");
        }
    }
}
