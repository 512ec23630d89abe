//! Attributes that ALB has and this build has no code for, each with the value that describes it: that one
//! is taken, any other is a fault.
use crate::config::nearest::nearest;
use crate::config::{Faults, later};

/// Keys and values.
type Keys = &'static [(&'static str, &'static str)];

/// Judges a key that has no code: one of `later`, or one that was probably meant to be another.
pub(super) fn judge(
    key: &str,
    value: &str,
    built: impl IntoIterator<Item = &'static str>,
    later: Keys,
    faults: &mut Faults,
) {
    match later.iter().find(|(known, _)| *known == key) {
        Some((_, default)) if *default == value => {}
        Some((_, default)) => {
            let default = if default.is_empty() { "leaving it empty" } else { default };
            faults.note_here(format_args!(
                "{}; it works as with {default}",
                later::message(&format!("{key}: {value}"))
            ));
        }
        None => {
            let later = later.iter().map(|(known, _)| *known);
            match nearest(key, built.into_iter().chain(later)) {
                Some(guess) => {
                    faults.note_here(format_args!("unknown attribute; did you mean {guess}?"));
                }
                None => faults.note_here("unknown attribute"),
            }
        }
    }
}

/// Keys of the load balancer without code here, and the value that describes this build.
pub(super) const BALANCER: Keys = &[
    ("access_logs.s3.bucket", ""),
    ("access_logs.s3.enabled", "false"),
    ("access_logs.s3.prefix", ""),
    ("connection_logs.s3.bucket", ""),
    ("connection_logs.s3.enabled", "false"),
    ("connection_logs.s3.prefix", ""),
    ("deletion_protection.enabled", "false"),
    ("health_check_logs.s3.bucket", ""),
    ("health_check_logs.s3.enabled", "false"),
    ("health_check_logs.s3.prefix", ""),
    ("ipv6.deny_all_igw_traffic", "false"),
    ("load_balancing.cross_zone.enabled", "true"),
    ("waf.fail_open.enabled", "false"),
    ("zonal_shift.config.enabled", "false"),
];

/// The same of listeners.
pub(super) const LISTENER: Keys = &[("tcp.idle_timeout.seconds", "350")];

/// The same of target groups.
pub(super) const TARGET_GROUP: Keys = &[
    ("deregistration_delay.connection_termination.enabled", "false"),
    ("deregistration_delay.timeout_seconds", "300"),
    ("load_balancing.algorithm.anomaly_mitigation", "off"),
    ("load_balancing.algorithm.type", "round_robin"),
    ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
    ("preserve_client_ip.enabled", "false"),
    ("proxy_protocol_v2.enabled", "false"),
    ("slow_start.duration_seconds", "0"),
    ("stickiness.app_cookie.cookie_name", ""),
    ("stickiness.app_cookie.duration_seconds", "86400"),
    ("stickiness.enabled", "false"),
    ("stickiness.lb_cookie.duration_seconds", "86400"),
    ("stickiness.type", "lb_cookie"),
    ("target_group_health.dns_failover.minimum_healthy_targets.count", "1"),
    ("target_group_health.dns_failover.minimum_healthy_targets.percentage", "off"),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1"),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off"),
];
