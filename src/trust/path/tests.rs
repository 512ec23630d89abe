//! One case for each way to fall; `tests/trust/again.rs` holds random ones against the whole verdict.
use super::super::testing::*;
use super::super::{Refusal, Rules, StaleRevocations, Store, UnlistedIssuers};
use super::*;

/// Root, intermediate and a client below it.
fn three() -> [Identity; 3] {
    let root = Draft::ca("root").root();
    let intermediate = Draft::ca("intermediate").by(&root);
    let client = Draft::client("client").by(&intermediate);
    [root, intermediate, client]
}

fn path(store: &Store, sent: &[&Identity]) -> Path {
    let path = store.judge(&chain(sent), &Conditions::default(), at(NOW)).unwrap().path;
    let decoded = Path::decode(path.encode()).unwrap();
    assert_eq!(decoded, path);
    decoded
}

fn again(store: &Store, path: &Path) -> Again {
    store.judge_again(path, &Conditions::default(), at(NOW))
}

const REVOKED: Again = Again::Refused(Refusal::CrlHit);

#[test]
fn a_client_right_below_a_ca_of_the_bundle_takes_little() {
    let [root, intermediate, client] = three();
    let trusting = store(&[&root, &intermediate], &[]);
    let bytes = path(&trusting, &[&client, &intermediate]).encode().len();
    assert!(bytes <= 80, "{bytes} bytes");
}

#[test]
fn revoking_any_certificate_of_the_path_refuses_it_by_lookups() {
    let [root, intermediate, client] = three();
    let cas = [&root, &intermediate];
    let trusting = store(&cas, &[]);
    let of_both = path(&trusting, &[&client]);
    let sent = path(&store(&[&root], &[]), &[&client, &intermediate]);
    let accepted = Again::Accepted { until: at(NOW + 10 * DAY) };
    assert_eq!(again(&trusting, &of_both), accepted);
    assert_eq!(again(&store(&cas, &[empty_list(&intermediate)]), &of_both), accepted);
    assert_eq!(again(&store(&cas, &[list_of(&intermediate, &client)]), &of_both), REVOKED);
    for (cas, path) in [(&cas[..], &of_both), (&cas[..1], &sent)] {
        assert_eq!(again(&store(cas, &[list_of(&root, &intermediate)]), path), REVOKED);
    }
}

#[test]
fn a_change_among_the_cas_of_the_path_is_for_the_whole_chain_and_another_is_not() {
    let [root, intermediate, client] = three();
    let stranger = Draft::ca("stranger").root();
    let namesake = Draft::ca("intermediate").root();
    let path = path(&store(&[&root, &intermediate], &[]), &[&client]);
    for (cas, is_known) in [
        (&[&root, &intermediate, &stranger][..], true),
        (&[&stranger, &intermediate, &root], true),
        (&[&root, &intermediate, &namesake], false),
        (&[&root], false),
        // It anchors now.
        (&[&intermediate], false),
        (&[&stranger], false),
    ] {
        let known = again(&store(cas, &[]), &path) != Again::Unknown;
        assert_eq!(known, is_known, "{} CAs", cas.len());
    }
}

#[test]
fn where_other_paths_may_be_only_acceptance_is_known_and_only_by_the_same_bundle() {
    let [root, intermediate, client] = three();
    let other = Draft::ca("other").root();
    let cross = Draft::ca("intermediate").key(intermediate.key.copy()).by(&other);
    let stranger = Draft::ca("stranger").root();
    let cas = [&root, &other, &intermediate, &cross];
    let path = path(&store(&cas, &[]), &[&client]);
    assert!(matches!(again(&store(&cas, &[]), &path), Again::Accepted { .. }));
    let more = [&root, &other, &intermediate, &cross, &stranger];
    assert_eq!(again(&store(&more, &[]), &path), Again::Unknown);
    // The other path is still there.
    let revoking = store(&cas, &[list_of(&root, &intermediate)]);
    assert_eq!(again(&revoking, &path), Again::Unknown);
    assert_eq!(judge(&revoking, &[&client]), Ok(()));
}

/// A copy of an anchor that the client sends is climbed from where it did not sign itself.
#[test]
fn a_sent_copy_leaves_the_path_alone_where_the_search_passes_it_over() {
    let [root, intermediate, client] = three();
    let revoked = |cas: &[&Identity], sent: &[&Identity], list: Vec<u8>| {
        again(&store(cas, &[list]), &path(&store(cas, &[]), sent))
    };
    let list = || list_of(&intermediate, &client);
    assert_eq!(revoked(&[&root, &intermediate], &[&client, &intermediate, &root], list()), REVOKED);
    assert_eq!(revoked(&[&intermediate], &[&client], list()), REVOKED);
    let copy = revoked(&[&intermediate], &[&client, &intermediate], list());
    assert_eq!(copy, Again::Unknown);
}

#[test]
fn lists_that_go_stale_end_it_and_say_when() {
    let [root, intermediate, client] = three();
    let mut trusting =
        store(&[&root, &intermediate], &[empty_list(&intermediate), empty_list(&root)]);
    let rules = |stale_revocations, unlisted_issuers| Rules { stale_revocations, unlisted_issuers };
    use StaleRevocations::{Enforce, Refuse};
    use UnlistedIssuers::Allow;
    let path = path(&trusting, &[&client]);
    for (rules, until, then) in [
        (rules(Enforce, Allow), NOW + 10 * DAY, Refusal::Expired),
        (rules(Refuse, Allow), NOW + DAY, Refusal::CrlProcessingError),
        (rules(Refuse, UnlistedIssuers::Refuse), NOW + DAY, Refusal::CrlProcessingError),
        (rules(Enforce, UnlistedIssuers::Refuse), NOW + 10 * DAY, Refusal::Expired),
    ] {
        trusting.rules = rules;
        let whole = trusting.judge(&chain(&[&client]), &Conditions::default(), at(NOW));
        assert_eq!(whole.unwrap().until, at(until), "{rules:?}");
        assert_eq!(again(&trusting, &path), Again::Accepted { until: at(until) }, "{rules:?}");
        let later = trusting.judge_again(&path, &Conditions::default(), at(until + 1));
        assert_eq!(later, Again::Refused(then), "{rules:?}");
    }
}

/// Goal: nothing cut off, and nothing longer, is taken for a path. Method: every prefix.
#[test]
fn a_path_is_read_whole_or_not_at_all() {
    let [root, intermediate, client] = three();
    let path = path(&store(&[&root], &[]), &[&client, &intermediate]);
    let bytes = path.encode();
    for length in 0..bytes.len() {
        assert_eq!(Path::decode(&bytes[..length]), None, "after {length} bytes");
    }
    assert_eq!(Path::decode(&[bytes, &[0]].concat()), None);
    for rules in [RULES - 1, RULES + 1] {
        assert_eq!(Path::decode(&[&[rules], &bytes[1..]].concat()), None, "by rules {rules}");
    }
}
