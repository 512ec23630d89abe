use super::super::testing::*;
use super::super::{Conditions, Refusal};
use super::*;

/// A leaf whose subject has these attributes (last octet of the OID, string tag, value), with these
/// alternative names (tag, value).
fn leaf(subject: &[(u8, u8, &[u8])], names: &[(u8, &[u8])]) -> Vec<u8> {
    let root = Draft::ca("Device CA").root();
    let part = |(kind, tag, value): &(u8, u8, &[u8])| {
        der(0x31, &[&attribute(&[0x55, 4, *kind], *tag, value)])
    };
    let subject: Vec<u8> = subject.iter().flat_map(part).collect();
    let draft = Draft { subject, ..Draft::client("") };
    let names: Vec<u8> = names.iter().flat_map(|(tag, value)| der(*tag, &[value])).collect();
    let draft = match names.as_slice() {
        [] => draft,
        names => draft.with(extension(17, false, &der(0x30, &[names]))),
    };
    draft.by(&root).der.to_vec()
}

fn allows(filters: &[&[(Field, &str)]], leaf: &[u8]) -> bool {
    let filter = |fields: &&[(Field, &str)]| {
        let mut filter = Filter::default();
        fields.iter().for_each(|(field, pattern)| filter.add(*field, pattern).unwrap());
        filter
    };
    let filters = Filters::new(filters.iter().map(filter).collect());
    filters.allow(&Certificate::read(leaf.into()).unwrap())
}

const CN: u8 = 3;
const OU: u8 = 11;
const UTF8: u8 = 0x0c;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;

/// Goal: what the documentation of each field says. Method: a pattern, a value, whether they meet.
#[test]
fn each_field_matches_by_its_own_rules() {
    use Field::{Issuer, SanDns, SanEmail, SanUri, SubjectCn, SubjectOu};
    let cases: &[(Field, &str, &str, bool)] = &[
        (SubjectCn, "device-17", "device-17", true),
        (SubjectCn, "device-17", "Device-17", false),
        (SubjectCn, "device-17", "device-170", false),
        (SubjectCn, "device-*", "device-17", true),
        (SubjectCn, "device-*", "device-", true),
        (SubjectCn, "device-*", "device", false),
        (SubjectCn, "Blåbær*", "Blåbær AS", true),
        (SubjectOu, "pki", "pki", true),
        (SubjectOu, "pki*", "ops", false),
        (SanDns, "api.example.com", "API.example.COM", true),
        (SanDns, "API.Example.com", "api.example.com", true),
        (SanDns, "*.example.com", "a.example.com", true),
        (SanDns, "*.example.com", "a.b.example.com", false),
        (SanDns, "*.example.com", "example.com", false),
        (SanDns, "*.example.com", "*.example.com", false),
        (SanDns, "api.example.com", "api.example.com.", false),
        (SanDns, "api.example.com", "api.example.com ", false),
        (SanUri, "spiffe://example.org/orders", "spiffe://example.org/orders", true),
        (SanUri, "spiffe://example.org/orders", "spiffe://example.org/orders/", false),
        (SanUri, "spiffe://example.org/orders", "SPIFFE://example.org/orders", false),
        (SanUri, "spiffe://example.org/*", "spiffe://example.org/orders", true),
        (SanUri, "spiffe://example.org/*", "spiffe://example.org.evil.net/orders", false),
        (SanUri, "spiffe://example.org/orders/*", "spiffe://example.org/orders/../admin", false),
        (SanUri, "spiffe://example.org/orders/*", "spiffe://example.org/orders/%2e%2E/x", false),
        (SanUri, "urn:example:*", "urn:example:17", true),
        (SanEmail, "Kari@example.com", "Kari@EXAMPLE.com", true),
        (SanEmail, "Kari@example.com", "kari@example.com", false),
        (SanEmail, "*@example.com", "anybody@example.com", true),
        (SanEmail, "*@example.com", "anybody@a.example.com", false),
        (SanEmail, "*@example.com", "a@evil.net@example.com", false),
        (SanEmail, "*@example.com", "@example.com", false),
        (Issuer, "CN=Device CA", "", true),
        (Issuer, "CN=Device*", "", true),
        (Issuer, "CN=Device", "", false),
    ];
    for (field, pattern, value, expected) in cases {
        let text = value.as_bytes();
        let leaf = match field {
            Field::SubjectCn => leaf(&[(CN, UTF8, text)], &[]),
            Field::SubjectOu => leaf(&[(OU, UTF8, text)], &[]),
            Field::SanDns => leaf(&[], &[(DNS, text)]),
            Field::SanUri => leaf(&[], &[(URI, text)]),
            Field::SanEmail => leaf(&[], &[(EMAIL, text)]),
            Field::Issuer | Field::Sha256 => leaf(&[(CN, UTF8, b"x")], &[]),
        };
        assert_eq!(allows(&[&[(*field, pattern)]], &leaf), *expected, "{pattern} {value}");
    }
}

/// Source: CVE-2009-2408 and its kin: a NUL that one reader takes for the end of a name.
#[test]
fn values_with_control_characters_or_broken_text_match_nothing() {
    let broken: &[&[u8]] = &[
        b"device-17\0.evil",
        b"device-17\n",
        b"device-17\x7f",
        b"device-\xff",
        b"device-\xc2\x80",
    ];
    for value in broken {
        let leaf = leaf(
            &[(CN, UTF8, value), (OU, UTF8, value)],
            &[(DNS, value), (URI, value), (EMAIL, value)],
        );
        assert!(!allows(&[&[(Field::SubjectCn, "device-*")]], &leaf), "{value:?}");
        assert!(!allows(&[&[(Field::SubjectOu, "device-*")]], &leaf), "{value:?}");
    }
    for (field, tag, pattern, value) in [
        (Field::SanDns, DNS, "good.example.com", &b"good.example.com\0.evil.net"[..]),
        (Field::SanUri, URI, "spiffe://a/*", b"spiffe://a/b\0c"),
        (Field::SanUri, URI, "spiffe://a/*", b"spiffe://a/b c"),
        (Field::SanUri, URI, "spiffe://a/*", "spiffe://a/\u{e6}".as_bytes()),
        (Field::SanEmail, EMAIL, "*@a.example", b"x\0y@a.example"),
        (Field::SanEmail, EMAIL, "*@a.example", b"\"x@y\"@a.example"),
    ] {
        assert!(!allows(&[&[(field, pattern)]], &leaf(&[], &[(tag, value)])), "{value:?}");
    }
    // A BMPString with half a character.
    let half = leaf(&[(CN, 0x1e, &[0, b'd', 0xd8, 0])], &[]);
    assert!(!allows(&[&[(Field::SubjectCn, "d*")]], &half));
}

#[test]
fn an_issuer_with_control_characters_matches_nothing() {
    let root = Draft::ca("Device\0CA").root();
    let client = Draft::client("x").by(&root);
    assert!(!allows(&[&[(Field::Issuer, "CN=Device*")]], &client.der));
    assert!(!allows(&[&[(Field::Issuer, "CN=Device\\00CA")]], &client.der));
    let root = Draft::ca("Blåbær, AS").root();
    let client = Draft::client("x").by(&root);
    assert!(allows(&[&[(Field::Issuer, "CN=Bl\\C3\\A5b\\C3\\A6r\\, AS")]], &client.der));
}

#[test]
fn a_certificate_is_named_by_its_hash() {
    let leaf = leaf(&[(CN, UTF8, b"x")], &[]);
    let hash = name::hex(digest::digest(&digest::SHA256, &leaf).as_ref());
    let octets: Vec<_> =
        hash.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap()).collect();
    for written in [hash.clone(), hash.to_lowercase(), octets.join(":")] {
        assert!(allows(&[&[(Field::Sha256, &written)]], &leaf), "{written}");
    }
    assert!(!allows(&[&[(Field::Sha256, &"0".repeat(64))]], &leaf));
}

#[test]
fn one_filter_must_match_and_in_it_every_field() {
    let leaf = leaf(
        &[(CN, UTF8, b"device-17"), (OU, UTF8, b"pki"), (OU, UTF8, b"ops")],
        &[(DNS, b"a.example.com"), (URI, b"spiffe://a/b")],
    );
    let cn = (Field::SubjectCn, "device-*");
    let ou = (Field::SubjectOu, "ops");
    let email = (Field::SanEmail, "*@example.com");
    assert!(allows(&[], &leaf), "no filter lets everybody in");
    assert!(allows(&[&[cn, ou]], &leaf));
    assert!(!allows(&[&[cn, email]], &leaf), "a missing field does not match");
    assert!(allows(&[&[cn, email], &[ou]], &leaf));
    assert!(allows(&[&[(Field::SubjectCn, "other"), cn]], &leaf), "one pattern of several");
    assert!(!allows(&[&[]], &leaf), "a filter without fields matches nobody");
}

#[test]
fn patterns_that_mean_nothing_or_too_much_are_refused() {
    use Field::{Issuer, SanDns, SanEmail, SanUri, Sha256, SubjectCn, SubjectOu};
    for (field, pattern, fault) in [
        (SubjectCn, "", PatternFault::Empty),
        (SubjectOu, "*", PatternFault::Anything),
        (SubjectCn, "a*b", PatternFault::Asterisk),
        (SubjectCn, "**", PatternFault::Asterisk),
        (SubjectCn, "a\0", PatternFault::Character),
        (Issuer, "CN=Blåbær", PatternFault::Character),
        (SanDns, "*", PatternFault::Dns),
        (SanDns, "a.*.com", PatternFault::Dns),
        (SanDns, "api*.example.com", PatternFault::Dns),
        (SanDns, "*.*.example.com", PatternFault::Dns),
        (SanDns, "example.com.", PatternFault::Dns),
        (SanUri, "example.org/orders", PatternFault::Uri),
        (SanUri, "spiffe://a/../b", PatternFault::Uri),
        (SanUri, "spiffe://a/../*", PatternFault::Uri),
        (SanUri, "a b:c", PatternFault::Character),
        (SanUri, "spiffe://example.org*", PatternFault::Host),
        (SanUri, "spiffe://*", PatternFault::Host),
        (SanUri, "spiffe:*", PatternFault::Host),
        (SanUri, "spiffe*", PatternFault::Uri),
        (SanEmail, "example.com", PatternFault::Email),
        (SanEmail, "@example.com", PatternFault::Email),
        (SanEmail, "*@*.example.com", PatternFault::Email),
        (Sha256, "abc", PatternFault::Hash),
        (Sha256, &"g".repeat(64), PatternFault::Hash),
    ] {
        assert_eq!(Filter::default().add(field, pattern), Err(fault), "{pattern}");
    }
}

/// Goal: the one candidate of the binary search is the right one. Method: all short words over two
/// letters as prefixes in a random order, against a walk over all of them.
#[test]
fn prefixes_are_found_as_a_walk_over_all_of_them_finds_them() {
    let words = |length: u32| {
        (0..2_u32.pow(length)).map(move |bits| {
            (0..length).map(|at| if bits >> at & 1 == 0 { 'a' } else { 'b' }).collect::<String>()
        })
    };
    let values: Vec<String> = (1..=6).flat_map(words).collect();
    let seed = random();
    for round in 0..200_usize {
        let chosen: Vec<_> = values
            .iter()
            .enumerate()
            .filter(|(at, _)| {
                let mix = at * 31 + round * 17 + usize::from(seed[(at + round) % 8]);
                mix.is_multiple_of(13)
            })
            .map(|(_, word)| word.as_str())
            .collect();
        let mut patterns = Patterns::default();
        chosen.iter().rev().for_each(|word| patterns.add(Pattern::Prefix((*word).into())));
        for value in &values {
            let expected = chosen.iter().any(|prefix| value.starts_with(prefix));
            assert_eq!(patterns.prefix_of(value).is_some(), expected, "{seed:?} {round} {value}");
        }
    }
}

#[test]
fn a_leaf_with_too_many_names_has_none() {
    let many: Vec<(u8, &[u8])> = vec![(DNS, b"a.example.com"); limits::IDENTITY_NAMES_MAX];
    let filter: &[(Field, &str)] = &[(Field::SanDns, "a.example.com")];
    assert!(allows(&[filter], &leaf(&[], &many)));
    let more = [&many[..], &[(DNS, b"a.example.com")]].concat();
    assert!(!allows(&[filter], &leaf(&[], &more)));
}

/// Source: NLB guide, "client certificate filters": path first, then filters, then revocation.
#[test]
fn filters_are_judged_after_the_path_and_before_revocation() {
    let root = Draft::ca("root").root();
    let stranger = Draft::ca("root").root();
    let client = Draft::client("device-17").by(&root);
    let expired = Draft::client("device-18").valid(NOW - 2 * DAY, NOW - DAY).by(&root);
    let revoking = store(&[&root], &[list_of(&root, &client)]);
    let mut filter = Filter::default();
    filter.add(Field::SubjectCn, "nobody").unwrap();
    let filters = Filters::new(vec![filter]);
    let conditions = Conditions { filters, ..Conditions::default() };
    let judge = |client: &Identity, conditions: &Conditions| {
        revoking.judge(&chain(&[client]), conditions, at(NOW)).map(|_| ())
    };
    assert_eq!(judge(&client, &conditions), Err(Refusal::Rejected));
    assert_eq!(judge(&client, &Conditions::default()), Err(Refusal::CrlHit));
    assert_eq!(judge(&expired, &conditions), Err(Refusal::Expired));
    let foreign = Draft::client("device-17").by(&stranger);
    assert_eq!(judge(&foreign, &conditions), Err(Refusal::Invalid));
}
