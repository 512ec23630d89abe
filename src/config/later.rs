//! What this build lacks and a later one will have: keys and words that are ALB's or the design's.
//!
//! They are faults like unknown ones, never accepted and ignored, but whoever wrote them was right to
//! expect them and is told so. Attribute keys have their own tables, in `compile::attributes`.

/// Keys, by the pattern of their place.
pub(super) const KEYS: &[&str] = &[
    "admin.allow_changes_over_tcp",
    "logs.health_check",
    "target_groups[].health_check",
    "target_groups[].target_type",
    "target_groups[].ip_address_type",
    "listeners[].alpn_policy",
    "listeners[].server_name_policies[].ssl_policy",
    "listeners[].default_actions[].order",
    "listeners[].default_actions[].forward_config",
    "listeners[].default_actions[].redirect_config",
    "listeners[].default_actions[].authenticate_oidc_config",
    "listeners[].default_actions[].jwt_validation_config",
    "listeners[].rules[]",
];

/// Words, by the pattern of the key that takes them.
pub(super) const WORDS: &[(&str, &[&str])] = &[
    ("target_groups[].protocol", &["HTTPS", "TCP", "TLS"]),
    ("listeners[].protocol", &["TCP", "TLS"]),
    ("listeners[].default_actions[].type", &["redirect", "authenticate-oidc", "jwt-validation"]),
];

/// What is said of them.
pub(super) fn message(what: &str) -> String {
    format!("this build does not have {what} yet")
}

/// What is said of a key at a place of this pattern, if it is one of them.
pub(super) fn key(pattern: &str) -> Option<String> {
    let known = KEYS.iter().find(|key| **key == pattern)?;
    let name = known.rsplit('.').next().unwrap_or(known);
    Some(message(name.trim_end_matches("[]")))
}

/// What is said of a word at a place of this pattern, if it is one of them.
pub(super) fn word(pattern: &str, word: &str) -> Option<String> {
    let (_, words) = WORDS.iter().find(|(key, _)| *key == pattern)?;
    words.contains(&word).then(|| message(word))
}

/// The names of keys that would stand beside others at `pattern`, for suggestions.
pub(super) fn keys_below(pattern: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(move |key| match key.rsplit_once('.') {
        Some((parent, name)) if parent == pattern => Some(name),
        _ => None,
    })
}
