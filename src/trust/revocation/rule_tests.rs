//! `stale_revocations` and `unlisted_issuers`.
use super::super::testing::*;
use super::super::{Conditions, Store};
use super::*;

const UNJUDGED: Result<(), Refusal> = Err(Refusal::CrlProcessingError);
const STALE: Rules =
    Rules { stale_revocations: StaleRevocations::Refuse, unlisted_issuers: UnlistedIssuers::Allow };
const UNLISTED: Rules = Rules {
    stale_revocations: StaleRevocations::Enforce,
    unlisted_issuers: UnlistedIssuers::Refuse,
};
const BOTH: Rules = Rules { unlisted_issuers: UnlistedIssuers::Refuse, ..STALE };

const ISSUING_DISTRIBUTION_POINT: u8 = 28;
const DISTRIBUTION_POINTS: u8 = 31;

/// A root with an intermediate, both in the bundle, and a current list of the root's.
struct Pki {
    root: Identity,
    intermediate: Identity,
}

impl Pki {
    fn new() -> Self {
        let root = Draft::ca("root").root();
        let intermediate = Draft::ca("intermediate").by(&root);
        Self { root, intermediate }
    }

    fn client(&self) -> Identity {
        Draft::client("client").by(&self.intermediate)
    }

    fn list(&self) -> List {
        List::of(&self.intermediate)
    }

    /// The verdict under these rules where these lists are the intermediate's.
    fn verdict(&self, rules: Rules, lists: Vec<List>, client: &Identity) -> Result<(), Refusal> {
        let mut lists: Vec<_> =
            lists.into_iter().map(|list| list.by(&self.intermediate.key)).collect();
        lists.push(List { next_update: None, ..List::of(&self.root) }.by(&self.root.key));
        let store = Store { rules, ..store(&[&self.root, &self.intermediate], &lists) };
        judge(&store, &[client])
    }

    /// Whether a list with this issuing distribution point vouches for a client with these points.
    fn vouches(&self, of_list: &[&[u8]], of_client: &[&[u8]]) -> bool {
        let client = match of_client {
            [] => self.client(),
            points => {
                let points = extension(DISTRIBUTION_POINTS, false, &der(0x30, points));
                Draft::client("client").with(points).by(&self.intermediate)
            }
        };
        let list = self.list().with(issuing_point(of_list));
        self.verdict(UNLISTED, vec![list], &client) == Ok(())
    }
}

fn issuing_point(fields: &[&[u8]]) -> Vec<u8> {
    extension(ISSUING_DISTRIBUTION_POINT, true, &der(0x30, fields))
}

/// A DistributionPointName of one URI.
fn uri(uri: &str) -> Vec<u8> {
    der(0xa0, &[&der(0xa0, &[&der(0x86, &[uri.as_bytes()])])])
}

/// One of a whole directory name.
fn directory(name: &[u8]) -> Vec<u8> {
    der(0xa0, &[&der(0xa0, &[&der(0xa4, &[&der(0x30, &[name])])])])
}

/// One of a name relative to the issuer's: its last part.
fn relative(cn: &str) -> Vec<u8> {
    der(0xa0, &[&der(0xa1, &[&attribute(&[0x55, 4, 3], 0x0c, cn.as_bytes())])])
}

fn point(fields: &[&[u8]]) -> Vec<u8> {
    der(0x30, fields)
}

#[test]
fn by_default_no_list_and_stale_ones_are_fine() {
    let pki = Pki::new();
    let stale = List { next_update: Some(NOW - 1), ..pki.list() };
    assert_eq!(pki.verdict(Rules::default(), vec![], &pki.client()), Ok(()));
    assert_eq!(pki.verdict(Rules::default(), vec![stale], &pki.client()), Ok(()));
}

#[test]
fn a_stale_list_refuses_its_issuers_clients_from_the_second_after_next_update() {
    let pki = Pki::new();
    for rules in [STALE, BOTH] {
        for (next_update, verdict) in [(NOW, Ok(())), (NOW - 1, UNJUDGED)] {
            let list = List { next_update: Some(next_update), ..pki.list() };
            assert_eq!(pki.verdict(rules, vec![list], &pki.client()), verdict, "{next_update}");
        }
    }
    // A root's client is not the intermediate's.
    let stale = List { next_update: Some(NOW - 1), ..pki.list() };
    let other = Draft::client("other").by(&pki.root);
    assert_eq!(pki.verdict(BOTH, vec![stale], &other), Ok(()));
}

#[test]
fn a_stale_list_still_revokes() {
    let pki = Pki::new();
    let client = pki.client();
    let stale = List { next_update: Some(NOW - 1), ..pki.list() }.revoking(&client.serial);
    assert_eq!(pki.verdict(BOTH, vec![stale], &client), Err(Refusal::CrlHit));
}

#[test]
fn a_stale_list_is_replaced_by_a_current_one_about_the_same_certificates() {
    let pki = Pki::new();
    let stale = || List { next_update: Some(NOW - 1), ..pki.list() };
    assert_eq!(pki.verdict(BOTH, vec![stale(), pki.list()], &pki.client()), Ok(()));
    assert_eq!(pki.verdict(BOTH, vec![pki.list(), stale()], &pki.client()), Ok(()));
    let of_users = || issuing_point(&[&[0x81, 1, 0xff]]);
    let only_users = pki.list().with(of_users());
    assert_eq!(pki.verdict(STALE, vec![stale(), only_users], &pki.client()), UNJUDGED);
    let stale_for_users = stale().with(of_users());
    assert_eq!(pki.verdict(BOTH, vec![stale_for_users, pki.list()], &pki.client()), Ok(()));
}

#[test]
fn a_list_that_is_not_yet_current_vouches_for_nobody_where_stale_ones_do_not() {
    let pki = Pki::new();
    let early = || List { this_update: NOW + 1, ..pki.list() };
    assert_eq!(pki.verdict(BOTH, vec![early()], &pki.client()), UNJUDGED);
    assert_eq!(pki.verdict(UNLISTED, vec![early()], &pki.client()), Ok(()));
}

#[test]
fn every_issuer_of_the_path_must_have_a_list_where_unlisted_ones_are_refused() {
    let pki = Pki::new();
    assert_eq!(pki.verdict(UNLISTED, vec![], &pki.client()), UNJUDGED);
    assert_eq!(pki.verdict(UNLISTED, vec![pki.list()], &pki.client()), Ok(()));
    let only_below = Store {
        rules: UNLISTED,
        ..store(&[&pki.root, &pki.intermediate], &[empty_list(&pki.intermediate)])
    };
    assert_eq!(judge(&only_below, &[&pki.client()]), UNJUDGED);
}

#[test]
fn lists_for_users_and_for_cas_vouch_for_their_kind() {
    let pki = Pki::new();
    for (fields, is_good) in [
        (&[0x81, 1, 0xff][..], true),
        (&[0x82, 1, 0xff], false),
        (&[0x82, 1, 0], true),
        (&[0x81, 1, 0xff, 0x82, 1, 0xff], false),
    ] {
        assert_eq!(pki.vouches(&[fields], &[]), is_good, "{fields:02x?}");
    }
    // The other way round: the root's list is about the intermediate.
    for (field, verdict) in [([0x81, 1, 0xff], UNJUDGED), ([0x82, 1, 0xff], Ok(()))] {
        let of_root = List::of(&pki.root).with(issuing_point(&[&field]));
        let lists = [of_root.by(&pki.root.key), empty_list(&pki.intermediate)];
        let store = Store { rules: UNLISTED, ..store(&[&pki.root, &pki.intermediate], &lists) };
        assert_eq!(judge(&store, &[&pki.client()]), verdict);
    }
}

/// RUSTSEC-2026-0049 and CVE-2026-4428: only the first distribution point was compared.
#[test]
fn a_named_list_vouches_for_certificates_that_name_it_at_any_point() {
    let pki = Pki::new();
    let [one, two, three] = ["http://crl/1", "http://crl/2", "http://crl/3"].map(uri);
    let (first, second) = (point(&[&one]), point(&[&two]));
    assert!(pki.vouches(&[&one], &[&first]));
    assert!(pki.vouches(&[&two], &[&first, &second]));
    assert!(!pki.vouches(&[&three], &[&first, &second]));
    assert!(!pki.vouches(&[&one], &[]));
    // A list without a name is about every point.
    assert!(pki.vouches(&[&[0x81, 1, 0xff]], &[&first]));
    // A point with a cRLIssuer is for indirect lists.
    let of_other = der(0xa2, &[&der(0xa4, &[&der(0x30, &[&common_name("other")])])]);
    assert!(!pki.vouches(&[&one], &[&point(&[&one, &of_other])]));
    // One kind of name is not another.
    let email = der(0xa0, &[&der(0xa0, &[&der(0x81, &[b"http://crl/1"])])]);
    assert!(!pki.vouches(&[&email], &[&first]));
}

/// RFC 5280, section 4.2.1.13: a name relative to the issuer's is the issuer's with this part behind it.
#[test]
fn whole_and_relative_names_of_points_meet() {
    let pki = Pki::new();
    let whole = directory(&[common_name("intermediate"), common_name("part 1")].concat());
    let part = relative("part 1");
    for (list, client) in [(&whole, &part), (&part, &whole), (&part, &part), (&whole, &whole)] {
        assert!(pki.vouches(&[list], &[&point(&[client])]));
    }
    assert!(!pki.vouches(&[&part], &[&point(&[&relative("part 2")])]));
    // RFC 5280, section 6.3.3: the issuer's own name stands for every point.
    assert!(pki.vouches(&[&directory(&common_name("intermediate"))], &[]));
}

#[test]
fn lists_for_some_reasons_vouch_together_for_all() {
    let pki = Pki::new();
    // keyCompromise and cACompromise; the other six.
    let (compromise, others) = ([0x83, 2, 5, 0x60], [0x83, 3, 7, 0x1f, 0x80]);
    let list = |reasons: &[u8]| pki.list().with(issuing_point(&[reasons]));
    let verdict = |lists| pki.verdict(UNLISTED, lists, &pki.client());
    assert_eq!(verdict(vec![list(&compromise)]), UNJUDGED);
    assert_eq!(verdict(vec![list(&others)]), UNJUDGED);
    assert_eq!(verdict(vec![list(&[0x83, 0])]), UNJUDGED);
    assert_eq!(verdict(vec![list(&others), list(&compromise)]), Ok(()));
    let stale = List { next_update: Some(NOW - 1), ..list(&compromise) };
    assert_eq!(pki.verdict(BOTH, vec![list(&others), stale], &pki.client()), UNJUDGED);
    // A client may name a point for some reasons only.
    let name = uri("http://crl/1");
    assert!(!pki.vouches(&[&name], &[&point(&[&name, &[0x81, 2, 5, 0x60]])]));
}

#[test]
fn a_list_that_points_to_delta_lists_vouches_for_nobody() {
    let pki = Pki::new();
    let freshest = extension(46, false, &der(0x30, &[&point(&[&uri("http://crl/delta")])]));
    let list = || pki.list().with(freshest.clone());
    assert_eq!(pki.verdict(UNLISTED, vec![list()], &pki.client()), UNJUDGED);
    assert_eq!(pki.verdict(STALE, vec![list()], &pki.client()), Ok(()));
    let client = pki.client();
    let revoking = list().revoking(&client.serial);
    assert_eq!(pki.verdict(Rules::default(), vec![revoking], &client), Err(Refusal::CrlHit));
}

/// Goal: a key that is no longer trusted vouches for nobody. Method: a CA with two keys, the one that
/// signed the list revoked or expired; the client's certificate is by the other.
#[test]
fn a_list_by_another_key_vouches_only_while_that_key_is_good() {
    let root = Draft::ca("root").root();
    let current = Draft::ca("ca").by(&root);
    let client = Draft::client("client").by(&current);
    for (other, is_revoked, verdict) in [
        (Draft::ca("ca"), false, Ok(())),
        (Draft::ca("ca"), true, UNJUDGED),
        (Draft::ca("ca").valid(NOW - 9, NOW - 1), false, UNJUDGED),
    ] {
        let other = other.by(&root);
        let of_root = if is_revoked { list_of(&root, &other) } else { empty_list(&root) };
        let lists = [of_root, empty_list(&other)];
        let store = Store { rules: UNLISTED, ..store(&[&root, &current, &other], &lists) };
        assert_eq!(judge(&store, &[&client]), verdict);
    }
}

/// The bundle's certificate of a CA may sign lists and has expired; its cross-certificate, which the client
/// sends, may not. OpenSSL refuses the client as well.
#[test]
fn a_list_does_not_vouch_on_a_path_whose_issuer_may_not_sign_lists() {
    let root = Draft::ca("root").root();
    let key = Key::p256();
    let signing = Draft::ca("ca").key(key.copy()).with(key_usage(0x06)).valid(NOW - 9, NOW - 1);
    let signing = signing.by(&root);
    let lists = [empty_list(&root), empty_list(&signing)];
    let store = Store { rules: UNLISTED, ..store(&[&root, &signing], &lists) };
    for (usage, verdict) in [(0x04, UNJUDGED), (0x06, Ok(()))] {
        let sent = Draft::ca("ca").key(key.copy()).with(key_usage(usage)).by(&root);
        let client = Draft::client("client").by(&sent);
        assert_eq!(judge(&store, &[&client, &sent]), verdict);
    }
}

#[test]
fn a_malformed_distribution_point_makes_a_certificate_invalid() {
    let pki = Pki::new();
    for value in [&[0x30, 1][..], &[5, 0], &[0x30, 2, 5, 0], &[0x30, 4, 0x30, 2, 0xa0, 0]] {
        let client = Draft::client("client").with(extension(DISTRIBUTION_POINTS, false, value));
        let client = client.by(&pki.intermediate);
        let verdict = pki.verdict(Rules::default(), vec![], &client);
        assert_eq!(verdict, Err(Refusal::Invalid), "{value:02x?}");
    }
}

#[test]
fn a_verdict_changes_with_the_time_alone() {
    let pki = Pki::new();
    let list = List { next_update: Some(NOW + 5), ..pki.list() }.by(&pki.intermediate.key);
    let store = Store { rules: STALE, ..store(&[&pki.root, &pki.intermediate], &[list]) };
    let client = pki.client();
    let verdict =
        |time| store.judge(&chain(&[&client]), &Conditions::default(), at(time)).map(|_| ());
    assert_eq!(verdict(NOW + 5), Ok(()));
    assert_eq!(verdict(NOW + 6), UNJUDGED);
}
