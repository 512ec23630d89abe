//! NIST's PKITS, judged by the trust module. `tests/node/pkits.rs` does the same through a listener.
use crate::data::{self, Case};
use portcullis::trust::revocation::File;
use portcullis::trust::{
    Conditions, Refusal, Revocations, Rules, StaleRevocations, Store, UnlistedIssuers,
};
use rustls_pki_types::UnixTime;
use std::time::Duration;

/// 2026-01-15; the suite is valid from 2010 to 2030.
const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_768_435_200));

const RULES: Rules = Rules {
    stale_revocations: StaleRevocations::Refuse,
    unlisted_issuers: UnlistedIssuers::Refuse,
};

fn verdict(case: &Case, rules: Rules) -> Result<(), Refusal> {
    let material = case.material(NOW);
    let bundle = data::load(&material.bundle, NOW).unwrap();
    let file = File { name: "lists", bytes: material.revocations.as_bytes() };
    let files = if material.revocations.is_empty() { &[][..] } else { &[file] };
    let revocations = Revocations::load(files, &bundle).unwrap();
    let store = Store { name: "pkits".into(), bundle, revocations, rules };
    store.judge(&case.chain, &Conditions::default(), NOW).map(|_| ())
}

#[test]
fn every_case_gets_the_verdict_of_pkits_or_a_listed_stricter_one() {
    let cases = data::cases();
    assert_eq!(cases.len(), 224, "the suite is whole");
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict = verdict(case, RULES);
        if verdict.is_ok() != case.is_accepted() {
            let left_out = case.material(NOW).left_out;
            let Case { name, leaf, .. } = case;
            wrong.push(format!("{name} ({leaf}): {verdict:?}, left out: {left_out:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_listed_difference_is_a_case_that_pkits_accepts() {
    let cases = data::cases();
    for name in data::differences() {
        assert!(cases.iter().any(|case| case.name == name && case.is_valid), "{name}");
    }
    assert_eq!(cases.iter().filter(|case| case.is_valid).count(), 103);
}

/// Goal: where we accept, nothing that PKITS takes for good was left out of the store.
#[test]
fn what_a_store_of_an_accepted_case_leaves_out_is_what_pkits_calls_bad() {
    for case in data::cases().iter().filter(|case| case.is_accepted()) {
        let left_out = case.material(NOW).left_out;
        let expected: &[&str] = match case.name.as_str() {
            // A list by another issuer, which carries the CA's name in its file name only.
            "ValidTwoCRLsTest7" => &["CN=Bad CRL for Two CRLs CA"],
            _ => &[],
        };
        assert_eq!(left_out.len(), expected.len(), "{}: {left_out:?}", case.name);
        for (left_out, expected) in left_out.iter().zip(expected) {
            assert!(left_out.contains(expected), "{}: {left_out}", case.name);
        }
    }
}

/// The two refusals by rule alone: with the defaults, these clients are accepted.
#[test]
fn the_cases_without_a_current_list_are_refused_by_the_rules_alone() {
    for (name, rules) in [
        ("MissingCRLTest1", Rules { stale_revocations: StaleRevocations::Enforce, ..RULES }),
        (
            "InvalidOldCRLnextUpdateTest11",
            Rules { unlisted_issuers: UnlistedIssuers::Allow, ..RULES },
        ),
    ] {
        let cases = data::cases();
        let case = cases.iter().find(|case| case.name == name).unwrap();
        assert_eq!(verdict(case, rules), Err(Refusal::CrlProcessingError), "{name}");
        assert_eq!(verdict(case, Rules::default()), Ok(()), "{name}");
    }
}
