//! What logs call the things that have an ARN on ALB.
//!
//! Pure. The forms are ALB's, with neither region nor account, so that whatever takes an ARN apart finds
//! names where it looks for them. An id is 16 digits that follow from the name: the same after a restart,
//! and on every node of one name. Source: `alb-contract.md`, section 9.4.
use crate::config::files::Digest;
use std::fmt;
use std::sync::Arc;

/// `app/<name>/<id>`: the load balancer, as the `elb` field has it.
pub fn load_balancer(name: &str) -> Arc<str> {
    format!("app/{name}/{}", Id(name)).into()
}

/// `arn:aws:elasticloadbalancing:::targetgroup/<name>/<id>`.
pub fn target_group(name: &str) -> Arc<str> {
    format!("arn:aws:elasticloadbalancing:::targetgroup/{name}/{}", Id(name)).into()
}

/// `arn:aws:acm:::certificate/<name>`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Certificate<'a>(pub(super) &'a str);

impl fmt::Display for Certificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:aws:acm:::certificate/{}", self.0)
    }
}

struct Id<'a>(&'a str);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = Digest::of(self.0.as_bytes());
        digest.bytes().iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_stand_where_alb_has_them() {
        // printf edge | sha256sum
        assert_eq!(&*load_balancer("edge"), "app/edge/a1cb100f57e971ca");
        assert_eq!(
            &*target_group("orders"),
            "arn:aws:elasticloadbalancing:::targetgroup/orders/1c168adb00d208e4"
        );
        assert_eq!(Certificate("api").to_string(), "arn:aws:acm:::certificate/api");
    }
}
