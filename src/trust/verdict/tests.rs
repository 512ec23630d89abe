use super::super::memory;
use super::super::testing::*;
use super::*;
use rustls_pki_types::alg_id;

const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = super::super::x509::oid::CLIENT_AUTH;
const ANY: &[u8] = super::super::x509::oid::ANY_EXTENDED_KEY_USAGE;

fn forgiving() -> Conditions {
    Conditions { ignore_client_certificate_expiry: true, ..Conditions::default() }
}

/// Root, intermediate below it.
fn two_cas() -> (Identity, Identity) {
    let root = Draft::ca("root").root();
    let intermediate = Draft::ca("intermediate").by(&root);
    (root, intermediate)
}

#[test]
fn a_client_is_accepted_wherever_its_intermediate_comes_from() {
    let (root, intermediate) = two_cas();
    let client = Draft::client("client").by(&intermediate);
    assert_eq!(judge(&store(&[&root], &[]), &[&client, &intermediate]), Ok(()));
    assert_eq!(judge(&store(&[&root, &intermediate], &[]), &[&client]), Ok(()));
    assert_eq!(judge(&store(&[&root], &[]), &[&client, &root, &intermediate]), Ok(()));
    assert_eq!(judge(&store(&[&root], &[]), &[&client]), Err(Refusal::Untrusted));
    assert_eq!(judge(&store(&[&root], &[]), &[]), Err(Refusal::Missing));
}

#[test]
fn every_kind_of_key_and_signature_of_albs_list_is_accepted() {
    for key in [
        Key::p256(),
        Key::generated(&rcgen::PKCS_ECDSA_P384_SHA384, alg_id::ECDSA_SHA384),
        Key::generated(&rcgen::PKCS_ECDSA_P521_SHA512, alg_id::ECDSA_SHA512),
        Key::generated(&rcgen::PKCS_RSA_SHA256, alg_id::RSA_PKCS1_SHA256),
        Key::generated(&rcgen::PKCS_RSA_SHA384, alg_id::RSA_PKCS1_SHA384),
        Key::generated(&rcgen::PKCS_RSA_SHA512, alg_id::RSA_PKCS1_SHA512),
        Key::rsa_pss(),
    ] {
        let root = Draft::ca("root").key(key.copy()).root();
        let client = Draft::client("client").key(key).by(&root);
        assert_eq!(judge(&store(&[&root], &[]), &[&client]), Ok(()));
        assert_eq!(judge_form(&client.der), Ok(()));
    }
}

/// Goal: a key that is not accepted costs nothing. Method: a 16,384-bit RSA key (CVE-2023-29409), one
/// bit too few and too many, another curve; none leaves a trace in the memory of signatures.
#[test]
fn other_keys_are_refused_before_a_signature_is_checked() {
    let root = Draft::ca("root").root();
    let store = store(&[&root], &[]);
    let rsa = |bits: usize| {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= (8 - bits % 8) % 8;
        let key = der(0x30, &[&der(2, &[&[0], &modulus]), &[2, 3, 1, 0, 1]]);
        let algorithm = der(0x30, &[alg_id::RSA_ENCRYPTION.as_ref()]);
        der(0x30, &[&algorithm, &der(3, &[&[0], &key])])
    };
    let other = |algorithm: &[u8]| der(0x30, &[&der(0x30, &[algorithm]), &[3, 2, 0, 4]]);
    let remembered = memory::remembered();
    for key_info in [
        rsa(16_384),
        rsa(8_193),
        rsa(2_047),
        rsa(1_024),
        other(alg_id::ECDSA_P256K1.as_ref()),
        other(alg_id::ED25519.as_ref()),
    ] {
        let client = Draft { key_info: Some(key_info), ..Draft::client("client") }.by(&root);
        assert_eq!(judge(&store, &[&client]), Err(Refusal::TypeUnsupported));
        assert_eq!(judge_form(&client.der), Err(Refusal::TypeUnsupported));
    }
    assert_eq!(memory::remembered(), remembered);
    for bits in [2_048, 8_192] {
        let client = Draft { key_info: Some(rsa(bits)), ..Draft::client("client") }.by(&root);
        assert_eq!(judge(&store, &[&client]), Ok(()), "{bits}");
    }
}

#[test]
fn an_intermediate_with_a_weak_key_makes_the_type_unsupported() {
    let (root, _) = two_cas();
    let key = Key::generated(&rcgen::PKCS_ED25519, alg_id::ED25519);
    let weak = Draft::ca("weak").key(key).by(&root);
    let draft = Draft::client("client");
    let signer = Identity { key: Key::p256(), name: weak.name.clone(), ..Draft::ca("x").root() };
    let client = draft.by(&signer);
    assert_eq!(judge(&store(&[&root], &[]), &[&client, &weak]), Err(Refusal::TypeUnsupported));
    let client = Draft::client("client").by(&weak);
    assert_eq!(judge(&store(&[&root], &[]), &[&client, &weak]), Err(Refusal::TypeUnsupported));
}

#[test]
fn only_version_3_leaves_are_supported() {
    let root = Draft::ca("root").root();
    for version in [1, 2] {
        let client = Draft { version, ..Draft::client("client") }.by(&root);
        assert_eq!(judge(&store(&[&root], &[]), &[&client]), Err(Refusal::TypeUnsupported));
        assert_eq!(judge_form(&client.der), Err(Refusal::TypeUnsupported));
    }
    assert_eq!(judge_form(&CertificateDer::from(vec![0x30, 0])), Err(Refusal::Invalid));
}

#[test]
fn validity_is_judged_to_the_second_on_every_certificate_of_the_path() {
    let wide = |draft: Draft| draft.valid(NOW - 100, NOW + 100);
    let (ends, begins) = (NOW + 5, NOW - 5);
    for (narrow, name) in ["client", "intermediate", "root"].iter().enumerate() {
        let draft = |index: usize, draft: Draft| {
            if index == narrow { draft.valid(begins, ends) } else { wide(draft) }
        };
        let root = draft(2, Draft::ca("root")).root();
        let intermediate = draft(1, Draft::ca("intermediate")).by(&root);
        let client = draft(0, Draft::client("client")).by(&intermediate);
        let store = store(&[&root], &[]);
        let verdict = |time| {
            store
                .judge(&chain(&[&client, &intermediate]), &Conditions::default(), at(time))
                .map(|accepted| accepted.until)
        };
        assert_eq!(verdict(begins - 1), Err(Refusal::NotYetValid), "{name}");
        assert_eq!(verdict(begins), Ok(at(ends)), "{name}");
        assert_eq!(verdict(ends), Ok(at(ends)), "{name}");
        assert_eq!(verdict(ends + 1), Err(Refusal::Expired), "{name}");
    }
}

#[test]
fn ignoring_expiry_forgives_the_leafs_end_and_nothing_else() {
    let root = Draft::ca("root").root();
    let short = Draft::ca("short").valid(NOW - 100, NOW + 50).by(&root);
    let client = Draft::client("client").valid(NOW - 10, NOW + 10).by(&short);
    let sent = chain(&[&client, &short]);
    let trusting = store(&[&root], &[]);
    let verdict =
        |time| trusting.judge(&sent, &forgiving(), at(time)).map(|accepted| accepted.until);
    let accepted = Ok(at(NOW + 50));
    assert_eq!(verdict(NOW - 11), Err(Refusal::NotYetValid));
    assert_eq!(verdict(NOW), accepted);
    assert_eq!(verdict(NOW + 11), accepted);
    assert_eq!(verdict(NOW + 50), accepted);
    assert_eq!(verdict(NOW + 51), Err(Refusal::Expired));
    let revoking = store(&[&root, &short], &[list_of(&short, &client)]);
    assert_eq!(revoking.judge(&sent, &forgiving(), at(NOW + 11)), Err(Refusal::CrlHit));
}

#[test]
fn a_path_that_was_never_whole_is_not_forgiven() {
    let root = Draft::ca("root").root();
    let renewed = Draft::ca("renewed").valid(NOW - 5, NOW + 100).by(&root);
    let client = Draft::client("client").valid(NOW - 20, NOW - 10).by(&renewed);
    let verdict = store(&[&root], &[]).judge(&chain(&[&client, &renewed]), &forgiving(), at(NOW));
    assert_eq!(verdict, Err(Refusal::Expired));
}

#[test]
fn purposes_are_judged_on_leaf_intermediate_and_anchor() {
    let allowed: [&[&[u8]]; 3] = [&[CLIENT_AUTH], &[SERVER_AUTH, CLIENT_AUTH], &[ANY]];
    let cases = allowed.map(|oids| (oids, Ok(()))).into_iter();
    let wrong: &[&[u8]] = &[SERVER_AUTH];
    for (oids, expected) in cases.chain([(wrong, Err(Refusal::PurposeInvalid))]) {
        for place in 0..3 {
            let draft = |index, draft: Draft| {
                if index == place { draft.with(extended_key_usage(oids)) } else { draft }
            };
            let root = draft(2, Draft::ca("root")).root();
            let intermediate = draft(1, Draft::ca("intermediate")).by(&root);
            let client = draft(0, Draft::client("client")).by(&intermediate);
            let verdict = judge(&store(&[&root], &[]), &[&client, &intermediate]);
            assert_eq!(verdict, expected, "{oids:?} at {place}");
        }
    }
    let root = Draft::ca("root").root();
    let empty = Draft::client("client").with(extended_key_usage(&[])).by(&root);
    assert_eq!(judge(&store(&[&root], &[]), &[&empty]), Err(Refusal::PurposeInvalid));
}

#[test]
fn key_usage_must_allow_what_each_certificate_does() {
    let (digital_signature, key_encipherment, key_agreement, cert_sign) = (0x80, 0x20, 0x08, 0x04);
    for (leaf, ca, expected) in [
        (digital_signature, cert_sign, Ok(())),
        (key_agreement, cert_sign, Ok(())),
        (key_encipherment, cert_sign, Err(Refusal::PurposeInvalid)),
        (digital_signature, digital_signature, Err(Refusal::PurposeInvalid)),
    ] {
        let root = Draft::ca("root").root();
        let intermediate = Draft::ca("intermediate").with(key_usage(ca)).by(&root);
        let client = Draft::client("client").with(key_usage(leaf)).by(&intermediate);
        let verdict = judge(&store(&[&root], &[]), &[&client, &intermediate]);
        assert_eq!(verdict, expected, "{leaf:x} {ca:x}");
    }
}

#[test]
fn certificates_that_are_no_cas_issue_nothing_and_cas_are_no_clients() {
    let root = Draft::ca("root").root();
    let store = store(&[&root], &[]);
    let leaf = Draft::client("leaf").by(&root);
    let client = Draft::client("client").by(&leaf);
    assert_eq!(judge(&store, &[&client, &leaf]), Err(Refusal::PurposeInvalid));
    let ca = Draft::ca("ca").by(&root);
    assert_eq!(judge(&store, &[&ca]), Err(Refusal::PurposeInvalid));
}

/// A chain of so many intermediates; the leaf first, the root last.
fn ladder(intermediates: usize) -> Vec<Identity> {
    let mut chain = vec![Draft::ca("root").root()];
    for index in 0..intermediates {
        let next = Draft::ca(&format!("ca {index}")).by(&chain[0]);
        chain.insert(0, next);
    }
    let client = Draft::client("client").by(&chain[0]);
    chain.insert(0, client);
    chain
}

#[test]
fn four_intermediates_are_the_deepest_path() {
    for (intermediates, expected) in [
        (limits::INTERMEDIATES_MAX, Ok(())),
        (limits::INTERMEDIATES_MAX + 1, Err(Refusal::MaxChainDepthExceeded)),
    ] {
        let ladder = ladder(intermediates);
        let all: Vec<_> = ladder.iter().collect();
        let (root, sent) = all.split_last().unwrap();
        assert_eq!(judge(&store(&[root], &[]), sent), expected, "sent: {intermediates}");
        let held = store(&all[1..], &[]);
        assert_eq!(judge(&held, &all[..1]), expected, "held: {intermediates}");
    }
}

#[test]
fn too_many_or_too_large_certificates_are_refused_unread() {
    let root = Draft::ca("root").root();
    let client = Draft::client("client").by(&root);
    let store = store(&[&root], &[]);
    let most = vec![&client; limits::CHAIN_CERTIFICATES_MAX];
    assert_eq!(judge(&store, &most), Ok(()));
    let more = vec![&client; limits::CHAIN_CERTIFICATES_MAX + 1];
    assert_eq!(judge(&store, &more), Err(Refusal::MaxChainDepthExceeded));
    for (padding, expected) in [
        (limits::CHAIN_BYTES_MAX - client.der.len(), Err(Refusal::Invalid)),
        (limits::CHAIN_BYTES_MAX - client.der.len() + 1, Err(Refusal::MaxSizeExceeded)),
    ] {
        let sent = [client.der.clone(), CertificateDer::from(vec![0; padding])];
        assert_eq!(store.judge(&sent, &Conditions::default(), at(NOW)).map(|_| ()), expected);
    }
}

/// Goal: a hostile graph is cheap (RUSTSEC-2023-0052). Method: as many certificates of one name as may
/// be sent, signed by each other in a circle or all by one; the signatures checked are counted.
#[test]
fn certificates_of_one_name_cost_a_bounded_number_of_checks() {
    let root = Draft::ca("root").root();
    let store = store(&[&root], &[]);
    let count = limits::CHAIN_CERTIFICATES_MAX - 1;
    let keys: Vec<_> = (0..count).map(|_| Key::p256()).collect();
    let signer = |index: usize| Identity {
        key: keys[index % count].copy(),
        name: common_name("root"),
        ..Draft::client("x").root()
    };
    let circle: Vec<_> = (0..count)
        .map(|index| Draft::ca("root").key(keys[index].copy()).by(&signer(index + 1)))
        .collect();
    let star: Vec<_> =
        (0..count).map(|_| Draft::ca("root").key(keys[0].copy()).by(&signer(0))).collect();
    for sent in [circle, star] {
        let client = Draft::client("client").by(&signer(0));
        let all: Vec<_> = std::iter::once(&client).chain(&sent).collect();
        let chain = chain(&all);
        let read = read_chain(&chain).unwrap();
        let (conditions, mut silence) = (Conditions::default(), ());
        let mut search = Search::new(&store, &read[1..], &conditions, at(NOW), &mut silence);
        assert_eq!(search.climb(&mut vec![&read[0]]), None);
        let checks = limits::SIGNATURE_CHECKS_MAX - search.checks_left;
        assert!(checks <= 60, "{checks} signatures were checked");
    }
}

#[test]
fn path_lengths_of_intermediates_and_anchors_are_kept() {
    for (root_max, intermediate_max, is_good) in [
        (Some(2), Some(1), true),
        (Some(1), None, false),
        (None, Some(0), false),
        (None, None, true),
    ] {
        let ca = |name, max| Draft::client(name).with(basic_constraints(true, max));
        let root = ca("root", root_max).root();
        let upper = ca("upper", intermediate_max).by(&root);
        let lower = ca("lower", None).by(&upper);
        let client = Draft::client("client").by(&lower);
        let verdict = judge(&store(&[&root], &[]), &[&client, &lower, &upper]);
        let expected = if is_good { Ok(()) } else { Err(Refusal::Invalid) };
        assert_eq!(verdict, expected, "{root_max:?} {intermediate_max:?}");
    }
}

#[test]
fn name_constraints_are_webpkis_to_judge() {
    let san = |name: &str| extension(17, false, &der(0x30, &[&der(0x82, &[name.as_bytes()])]));
    let subtree = der(0x30, &[&der(0x82, &[b"good.example"])]);
    let constraints = extension(30, true, &der(0x30, &[&der(0xa0, &[&subtree])]));
    let root = Draft::ca("root").root();
    let inside = Draft::ca("constrained").with(constraints.clone()).by(&root);
    let constrained_root = Draft::ca("constrained root").with(constraints).root();
    let store = store(&[&root, &constrained_root], &[]);
    for (name, expected) in [("a.good.example", Ok(())), ("bad.example", Err(Refusal::Invalid))] {
        let client = Draft::client("client").with(san(name)).by(&inside);
        assert_eq!(judge(&store, &[&client, &inside]), expected, "{name}");
        let client = Draft::client("client").with(san(name)).by(&constrained_root);
        assert_eq!(judge(&store, &[&client]), expected, "{name}");
    }
}

#[test]
fn unknown_critical_extensions_make_the_type_unsupported() {
    let root = Draft::ca("root").root();
    let client = Draft::client("client").with(extension(99, true, &[5, 0])).by(&root);
    assert_eq!(judge(&store(&[&root], &[]), &[&client]), Err(Refusal::TypeUnsupported));
    let client = Draft::client("client").with(extension(99, false, &[5, 0])).by(&root);
    assert_eq!(judge(&store(&[&root], &[]), &[&client]), Ok(()));
}

#[test]
fn a_cross_signed_path_is_found_when_the_other_is_revoked_or_expired() {
    let (first, second) = (Draft::ca("first").root(), Draft::ca("second").root());
    let key = Key::p256();
    let by_first = Draft::ca("crossed").key(key.copy()).serial(&[1]).by(&first);
    let by_second = Draft::ca("crossed").key(key).serial(&[2]).by(&second);
    let client = Draft::client("client").by(&by_first);
    let revoking = List::of(&first).revoking(&[1]).by(&first.key);
    let store = store(&[&first, &second], &[revoking]);
    assert_eq!(judge(&store, &[&client, &by_first]), Err(Refusal::CrlHit));
    for sent in [[&client, &by_first, &by_second], [&client, &by_second, &by_first]] {
        assert_eq!(judge(&store, &sent), Ok(()));
    }
}

#[test]
fn the_most_telling_refusal_of_all_paths_is_given() {
    let (first, second) = (Draft::ca("first").root(), Draft::ca("second").root());
    let key = Key::p256();
    let revoked = Draft::ca("crossed").key(key.copy()).serial(&[1]).by(&first);
    let expired = Draft::ca("crossed").key(key).valid(NOW - 9, NOW - 1).by(&second);
    let client = Draft::client("client").by(&revoked);
    let store = store(&[&first, &second], &[List::of(&first).revoking(&[1]).by(&first.key)]);
    for sent in [[&client, &revoked, &expired], [&client, &expired, &revoked]] {
        assert_eq!(judge(&store, &sent), Err(Refusal::CrlHit));
    }
    assert_eq!(judge(&store, &[&client, &expired]), Err(Refusal::Expired));
}

/// Goal: memory shortens work and never a judgement. Method: warm it, then change time, lists, bundle.
#[test]
fn a_remembered_chain_is_refused_when_it_expires_is_revoked_or_its_ca_leaves() {
    let (root, intermediate) = two_cas();
    let client = Draft::client("client").by(&intermediate);
    let sent = [&client, &intermediate];
    let trusting = store(&[&root, &intermediate], &[]);
    for _ in 0..2 {
        assert_eq!(judge(&trusting, &sent), Ok(()));
    }
    assert!(memory::remembered() >= 2);
    let expired = trusting.judge(&chain(&sent), &Conditions::default(), at(NOW + 11 * DAY));
    assert_eq!(expired, Err(Refusal::Expired));
    for list in [list_of(&intermediate, &client), list_of(&root, &intermediate)] {
        let revoking = store(&[&root, &intermediate], &[list]);
        assert_eq!(judge(&revoking, &sent), Err(Refusal::CrlHit));
    }
    let other = Draft::ca("other").root();
    assert_eq!(judge(&store(&[&other], &[]), &sent), Err(Refusal::Untrusted));
}

/// Goal: no bit of a chain is without meaning. Method: a chain whose intermediate is not in the bundle is
/// accepted, so that the memory is warm; then each of its bits is flipped alone.
#[test]
fn a_bit_flipped_anywhere_in_a_remembered_chain_is_refused() {
    let (root, intermediate) = two_cas();
    let client = Draft::client("client").by(&intermediate);
    let store = store(&[&root], &[]);
    let good = chain(&[&client, &intermediate]);
    assert!(store.judge(&good, &Conditions::default(), at(NOW)).is_ok());
    for position in 0..good.len() {
        for bit in 0..good[position].len() * 8 {
            let mut bytes = good[position].to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut flipped = good.clone();
            flipped[position] = CertificateDer::from(bytes);
            let verdict = store.judge(&flipped, &Conditions::default(), at(NOW));
            assert!(verdict.is_err(), "bit {bit} of certificate {position}");
        }
    }
}

#[test]
fn a_wrong_signature_under_a_known_name_is_invalid() {
    let root = Draft::ca("root").root();
    let impostor = Draft::ca("root").root();
    let client = Draft::client("client").by(&impostor);
    assert_eq!(judge(&store(&[&root], &[]), &[&client]), Err(Refusal::Invalid));
    assert_eq!(judge(&store(&[&root], &[]), &[&client, &impostor]), Err(Refusal::Invalid));
}

#[test]
fn a_key_identifier_tells_a_foreign_ca_of_the_same_name_from_a_bad_signature() {
    let subject_key = |id: &[u8]| extension(14, false, &der(4, &[id]));
    let authority_key = |id: &[u8]| extension(35, false, &der(0x30, &[&der(0x80, &[id])]));
    let root = Draft::ca("root").with(subject_key(b"ours")).root();
    let impostor = Draft::ca("root").with(subject_key(b"theirs")).root();
    let store = store(&[&root], &[]);
    let client = Draft::client("client").with(authority_key(b"ours")).by(&root);
    assert_eq!(judge(&store, &[&client]), Ok(()));
    let foreign = Draft::client("client").with(authority_key(b"theirs")).by(&impostor);
    assert_eq!(judge(&store, &[&foreign]), Err(Refusal::Untrusted));
    assert_eq!(judge(&store, &[&foreign, &impostor]), Err(Refusal::Untrusted));
    let forged = Draft::client("client").with(authority_key(b"ours")).by(&impostor);
    assert_eq!(judge(&store, &[&forged]), Err(Refusal::Invalid));
}

#[test]
fn a_cross_certificate_leads_past_an_expired_root() {
    let new = Draft::ca("new").root();
    let old = Draft::ca("old").valid(NOW - 9, NOW - 1).root();
    let crossed = Draft::ca("old").key(old.key.copy()).by(&new);
    let client = Draft::client("client").by(&old);
    assert_eq!(judge(&store(&[&old, &new], &[]), &[&client]), Err(Refusal::Expired));
    assert_eq!(judge(&store(&[&old, &new], &[]), &[&client, &crossed]), Ok(()));
    assert_eq!(judge(&store(&[&old, &new, &crossed], &[]), &[&client]), Ok(()));
}

#[test]
fn a_version_1_root_anchors() {
    let root = Draft { version: 1, ..Draft::client("root") }.root();
    let client = Draft::client("client").by(&root);
    assert_eq!(judge(&store(&[&root], &[]), &[&client]), Ok(()));
    let root = Draft::ca("root").root();
    let old = Draft { version: 1, ..Draft::client("old") }.by(&root);
    let client = Draft::client("client").by(&old);
    assert_eq!(judge(&store(&[&root], &[]), &[&client, &old]), Err(Refusal::TypeUnsupported));
}

#[test]
fn an_intermediate_anchors_only_while_its_issuer_is_missing() {
    let (root, intermediate) = two_cas();
    let client = Draft::client("client").by(&intermediate);
    let alone = store(&[&intermediate], &[]);
    assert_eq!(judge(&alone, &[&client]), Ok(()));
    let expired_root = Draft::ca("root").key(root.key.copy()).valid(NOW - 9, NOW - 1).root();
    let with_root = store(&[&intermediate, &expired_root], &[]);
    assert_eq!(judge(&with_root, &[&client]), Err(Refusal::Expired));
}

#[test]
fn a_key_that_was_renewed_is_found_among_cas_of_one_name() {
    let old = Draft::ca("root").root();
    let new = Draft::ca("root").root();
    let store = store(&[&old, &new], &[]);
    for issuer in [&old, &new] {
        let client = Draft::client("client").by(issuer);
        assert_eq!(judge(&store, &[&client]), Ok(()));
    }
}
