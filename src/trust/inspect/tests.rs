use super::super::testing::{
    DAY, Draft, Identity, Key, List as DraftList, NOW, at, bundle_text, empty_list, list_of, pem,
};
use super::*;

fn look(files: &[(&str, &[u8])]) -> Vec<Report> {
    let files: Vec<_> = files.iter().map(|(name, bytes)| File { name, bytes }).collect();
    inspect(&files, at(NOW))
}

fn look_at_bundle(text: &str) -> Report {
    look(&[("ca.pem", text.as_bytes())]).remove(0)
}

fn root(name: &str) -> Draft {
    Draft::ca(name).valid(NOW - 10 * DAY, NOW + 1_000 * DAY)
}

fn text(cas: &[&Identity]) -> String {
    bundle_text(cas)
}

#[test]
fn a_good_store_is_listed_without_a_word_against_it() {
    let ca = root("root").root();
    let list = pem("X509 CRL", &list_of(&ca, &Draft::client("x").by(&ca)));
    let reports = look(&[("ca.crl", list.as_bytes()), ("ca.pem", text(&[&ca]).as_bytes())]);
    assert_eq!((reports[0].kind, reports[1].kind), (Kind::Revocations, Kind::Bundle));
    for report in &reports {
        assert!(report.faults.is_empty() && report.alb.is_empty(), "{report}");
        assert!(report.warnings.is_empty(), "{report}");
    }
    assert_eq!(reports[0].revocations[0].entries, 1);
    let expected = "ca.pem: 1 CA certificates\n  CN=root\n      ECDSA P-256, valid from \
                    2027-01-05T08:00:00Z to 2029-10-11T08:00:00Z, self-issued";
    assert_eq!(reports[1].to_string(), expected);
}

#[test]
fn what_ends_or_is_missing_is_a_warning() {
    let good = root("good").root();
    let expired = Draft::ca("expired").valid(NOW - 2 * DAY, NOW - DAY).root();
    let soon = Draft::ca("soon").valid(NOW - 2 * DAY, NOW + 20 * DAY).root();
    let orphan = root("orphan").by(&good);
    let said = |cas: &[&Identity]| look_at_bundle(&text(cas)).warnings.join("\n");
    assert!(said(&[&expired]).contains("expired at"));
    assert!(said(&[&soon]).contains("CN=soon expires soon, at"));
    assert!(said(&[&orphan]).contains("CN=orphan is not self-signed and anchors"));
    assert!(said(&[&good, &good]).contains("more than once"));
}

#[test]
fn what_this_node_refuses_is_a_fault() {
    let good = root("good").root();
    let client = Draft::client("client").by(&good);
    let foreign = Key::p256();
    let faults = |report: &Report| report.faults.join("\n");
    assert!(faults(&look_at_bundle(&text(&[&good, &client]))).contains("not a CA"));
    assert!(faults(&look_at_bundle("")).contains("empty"));
    let list = DraftList::of(&good).by(&foreign);
    let reports = look(&[("ca.pem", text(&[&good]).as_bytes()), ("ca.crl", &list)]);
    assert!(faults(&reports[1]).contains("its signature is wrong"), "{}", reports[1]);
    let mut cut = empty_list(&good);
    cut.pop();
    let reports = look(&[("ca.pem", text(&[&good]).as_bytes()), ("ca.crl", &cut)]);
    assert!(!reports[1].faults.is_empty());
}

#[test]
fn a_list_without_its_bundle_is_told_as_far_as_it_can_be() {
    let ca = root("root").root();
    let stale = DraftList { next_update: Some(NOW - 1), ..DraftList::of(&ca) }.by(&ca.key);
    let report = look(&[("ca.crl", &stale)]).remove(0);
    assert!(report.faults.is_empty());
    assert_eq!(report.revocations[0].issuer, "CN=root");
    assert!(report.warnings[0].contains("is stale since 2027-01-15T07:59:59Z"), "{report}");
    assert!(report.warnings[1].contains("give the CA bundle too"), "{report}");
    assert!(report.alb[0].contains("not PEM"), "{report}");
    let endless = DraftList { next_update: None, ..DraftList::of(&ca) }.by(&ca.key);
    assert!(look(&[("ca.crl", &endless)])[0].warnings[0].contains("has no nextUpdate"));
    let old = DraftList { this_update: NOW - 9 * DAY, ..DraftList::of(&ca) }.by(&ca.key);
    assert!(look(&[("ca.crl", &old)])[0].warnings[0].contains("is stale soon"));
}

/// Source: ALB guide, "Trust store", "CA certificate bundle".
#[test]
fn what_alb_refuses_in_the_text_of_a_bundle_is_told_with_its_line() {
    let ca = text(&[&root("root").root()]);
    let alb = |text: String| look_at_bundle(&text).alb.join("\n");
    assert_eq!(alb(format!("# our root\n{ca}")), "");
    assert_eq!(alb(format!("{ca}\n")), format!("line {}: a blank line", ca.lines().count() + 1));
    assert_eq!(alb(format!("\n{ca}")), "line 1: a blank line");
    assert_eq!(alb(format!("# our root - new\n{ca}")), "line 1: a comment with a hyphen");
    assert!(alb(format!("Certificate:\n{ca}")).starts_with("line 1: text outside"));
    let many: Vec<_> = (0..26).map(|number| root(&format!("root {number}")).root()).collect();
    let many: Vec<_> = many.iter().collect();
    assert_eq!(alb(text(&many)), "26 CA certificates; its quota is 25");
}
