use super::super::testing::*;
use super::*;
use rustls_pki_types::alg_id;

fn read(text: impl AsRef<[u8]>) -> Result<(Bundle, Vec<Warning>), Vec<Fault>> {
    Bundle::from_pem(text.as_ref(), at(NOW))
}

/// The faults as one text; none is a failure.
fn faults(text: impl AsRef<[u8]>) -> String {
    let faults = read(text).map(|_| ()).expect_err("a fault");
    faults.into_iter().map(|fault| fault.0).collect::<Vec<_>>().join("\n")
}

fn warnings(cas: &[&Identity]) -> Vec<String> {
    read(bundle_text(cas)).unwrap().1.into_iter().map(|warning| warning.0).collect()
}

#[test]
fn a_bundle_tells_its_cas() {
    let root = Draft::ca("root").root();
    let soon = Draft::ca("soon").valid(NOW - DAY, NOW + DAY).by(&root);
    let other = Draft::ca("root").root();
    let text = format!("# our CAs\n\n{}", bundle_text(&[&root, &soon, &other]));
    let (bundle, warnings) = read(text).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(bundle.ca_count(), 3);
    assert_eq!(bundle.earliest_expiry(), at(NOW + DAY));
    assert_eq!(bundle.partial_anchors(), Vec::<String>::new());
    let subjects: Vec<_> = bundle.subjects().iter().map(|name| name.as_ref().to_vec()).collect();
    assert_eq!(subjects, [der(0x30, &[&root.name]), der(0x30, &[&soon.name])]);
}

#[test]
fn what_is_no_bundle_is_a_clear_fault() {
    let root = Draft::ca("root").root();
    let good = bundle_text(&[&root]);
    for (text, expected) in [
        ("".to_owned(), "the bundle is empty"),
        ("\n# nothing here\n".to_owned(), "the bundle holds no certificate"),
        (good.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "line 1: TRUSTED CERTIFICATE, not a"),
        (good.replace("CERTIFICATE", "PRIVATE KEY"), "line 1: PRIVATE KEY, not a CERTIFICATE"),
        (good.replace("CERTIFICATE", "X509 CRL"), "belongs under `revocations`"),
        (good.replace("-----END", "----END"), "block 1: line 1: the block has no END line"),
        (good.replace("MII", "MI!"), "block 1: line 1: the block is not base64"),
        (pem("CERTIFICATE", &[0x30, 0]), "certificate 1, line 1: malformed at byte 2"),
        (
            pem("CERTIFICATE", &[&root.der[..], &[0]].concat()),
            "the end of the certificate expected",
        ),
        (pem("CERTIFICATE", &[0; limits::CA_CERTIFICATE_BYTES_MAX + 1]), "16384 are allowed"),
    ] {
        let faults = faults(&text);
        assert!(faults.contains(expected), "{faults}\n{expected}");
    }
    assert!(faults(&root.der).contains("the bundle is DER"));
    assert!(faults(vec![b'#'; limits::BUNDLE_BYTES_MAX + 1]).contains("are allowed"));
}

#[test]
fn every_unusable_certificate_is_named_by_position_and_subject() {
    let root = Draft::ca("root").root();
    let ca = |name| Draft::ca(name);
    let sha1 = AlgorithmIdentifierOf::SHA1_WITH_RSA;
    let rsa = || Key::generated(&rcgen::PKCS_RSA_SHA256, alg_id::RSA_PKCS1_SHA256);
    for (identity, expected) in [
        (Draft::client("leaf").by(&root), "not a CA (basicConstraints does not say CA:TRUE)"),
        (Draft::client("leaf").root(), "not a CA (basicConstraints does not say CA:TRUE)"),
        (Draft::client("x").with(basic_constraints(false, None)).root(), "not a CA"),
        (ca("x").with(key_usage(0x02)).root(), "keyCertSign"),
        (ca("x").with(extension(99, true, &[5, 0])).root(), "extension 2.5.29.99 is not supported"),
        (
            ca("x").key(Key::generated(&rcgen::PKCS_ED25519, alg_id::ED25519)).by(&root),
            "kind of key",
        ),
        (ca("x").key(Key::generated(&rcgen::PKCS_RSA_SHA256, sha1)).root(), "signature algorithm"),
        (
            Draft { version: 1, ..Draft::client("x") }.by(&root),
            "version 1 certificate cannot be a CA",
        ),
        (
            Draft { version: 1, ..Draft::client("x") }.by(&root),
            "-extfile FILE, with basicConstraints",
        ),
        (Draft { version: 2, ..Draft::client("x") }.root(), "version 2 certificate cannot be a CA"),
        (Draft { version: 1, ..Draft::client("x") }.key(rsa()).by(&root), "openssl x509 -req"),
    ] {
        let name = name::rfc2253(&identity.name).unwrap();
        let faults = faults(bundle_text(&[&root, &identity]));
        assert!(faults.starts_with("certificate 2, line "), "{faults}");
        assert!(faults.contains(&format!("({name})")) && faults.contains(expected), "{faults}");
    }
}

/// Signature algorithms that rustls-pki-types has no name for.
struct AlgorithmIdentifierOf;

impl AlgorithmIdentifierOf {
    const SHA1_WITH_RSA: rustls_pki_types::AlgorithmIdentifier =
        rustls_pki_types::AlgorithmIdentifier::from_slice(&[
            6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 5, 5, 0,
        ]);
}

#[test]
fn all_faults_come_at_once_and_one_refuses_the_bundle() {
    let root = Draft::ca("root").root();
    let leaf = Draft::client("leaf").by(&root);
    let text = format!("{}{}", bundle_text(&[&leaf, &root]), pem("PRIVATE KEY", &[1, 2, 3]));
    let faults = faults(text);
    assert_eq!(faults.lines().count(), 2, "{faults}");
}

#[test]
fn oddities_are_warnings() {
    let root = Draft::ca("root").root();
    let expired = Draft::ca("old").valid(NOW - 2 * DAY, NOW - DAY).by(&root);
    let early = Draft::ca("new").valid(NOW + DAY, NOW + 2 * DAY).by(&root);
    let version_1 = Draft { version: 1, ..Draft::client("v1") }.root();
    assert_eq!(warnings(&[&root]), Vec::<String>::new());
    for (identity, expected) in [
        (&expired, "(CN=old): expired at 2027-01-14T08:00:00Z"),
        (&early, "(CN=new): not valid before 2027-01-16T08:00:00Z"),
        (&version_1, "(CN=v1): an X.509 version 1 root"),
        (&root, "(CN=root) is in the bundle more than once"),
    ] {
        let warnings = warnings(&[&root, identity]);
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{warnings:?}");
        assert!(warnings[0].starts_with("certificate 2, line "), "{warnings:?}");
    }
    assert_eq!(bundle(&[&root, &root]).ca_count(), 1);
}

#[test]
fn a_ca_anchors_where_it_signed_itself_or_its_issuer_is_missing() {
    let root = Draft::ca("root").root();
    let intermediate = Draft::ca("intermediate").by(&root);
    let lower = Draft::ca("lower").by(&intermediate);
    let impostor = Draft::ca("root").root();
    let none = Vec::<String>::new();
    assert_eq!(bundle(&[&root, &intermediate, &lower]).partial_anchors(), none);
    assert_eq!(bundle(&[&intermediate, &lower]).partial_anchors(), ["CN=intermediate"]);
    assert_eq!(bundle(&[&impostor, &intermediate]).partial_anchors(), ["CN=intermediate"]);
}

#[test]
fn a_root_with_a_wrong_signature_is_a_fault() {
    let root = Draft::ca("root").root();
    let mut broken = root.der.to_vec();
    *broken.last_mut().unwrap() ^= 1;
    assert!(faults(pem("CERTIFICATE", &broken)).contains("its signature is wrong"));
}

#[test]
fn a_new_key_signed_by_the_old_one_does_not_anchor_beside_it() {
    let old = Draft::ca("root").root();
    let new = Draft::ca("root").by(&old);
    let both = bundle(&[&old, &new]);
    assert_eq!(both.partial_anchors(), Vec::<String>::new());
    assert_eq!(both.cas.iter().filter(|ca| ca.anchor.is_some()).count(), 1);
}

#[test]
fn cas_that_issue_each_other_need_a_root() {
    let (one, two) = (Draft::ca("one").root(), Draft::ca("two").root());
    let crossed_one = Draft::ca("one").key(one.key.copy()).by(&two);
    let crossed_two = Draft::ca("two").key(two.key.copy()).by(&one);
    let circle = bundle_text(&[&crossed_one, &crossed_two]);
    assert!(faults(&circle).contains("no certificate of the bundle anchors"));
    let other = Draft::ca("other").root();
    let warned = warnings(&[&crossed_one, &crossed_two, &other]);
    assert_eq!(warned.len(), 2, "{warned:?}");
    let whole = bundle(&[&crossed_one, &crossed_two, &one]);
    assert!(whole.cas.iter().all(|ca| ca.chains_to.len() == 1));
}

#[test]
fn a_renewed_root_stays_the_same_authority() {
    let root = Draft::ca("root").root();
    let renewed = Draft::ca("root").key(root.key.copy()).valid(NOW, NOW + 99 * DAY).root();
    let intermediate = Draft::ca("intermediate").by(&root);
    let bundle = bundle(&[&root, &renewed, &intermediate]);
    assert!(bundle.cas.iter().all(|ca| ca.chains_to.len() == 1));
    assert_eq!(bundle.cas[0].chains_to, bundle.cas[2].chains_to);
}

#[test]
fn cas_of_one_name_are_bounded() {
    let cas: Vec<_> =
        (0..=limits::CAS_OF_ONE_NAME_MAX).map(|_| Draft::ca("crowd").root()).collect();
    let all: Vec<_> = cas.iter().collect();
    assert_eq!(bundle(&all[1..]).ca_count(), limits::CAS_OF_ONE_NAME_MAX);
    assert!(
        faults(bundle_text(&all)).contains("more than 16 certificates have the subject CN=crowd")
    );
}

/// Goal: no bytes make the reader panic. Method: every prefix of a bundle, every bit of a certificate.
#[test]
fn cut_and_flipped_bundles_are_refused_or_read() {
    let root = Draft::ca("root").with(key_usage(4)).with(extended_key_usage(&[])).root();
    let text = bundle_text(&[&root]);
    for length in 0..text.len() - 1 {
        assert!(read(&text[..length]).is_err() || length + 1 >= text.trim_end().len(), "{length}");
    }
    for bit in 0..root.der.len() * 8 {
        let mut flipped = root.der.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = read(pem("CERTIFICATE", &flipped));
    }
}

/// Goal: a certificate that its issuer never signed does not anchor. Method: it names the root of the
/// bundle by name and key identifier; another key of the same name signed it.
#[test]
fn a_ca_that_names_a_ca_of_the_bundle_falsely_is_a_fault() {
    let subject_key = extension(14, false, &der(4, &[b"root's"]));
    let root = Draft::ca("root").with(subject_key).root();
    let impostor = Draft::ca("root").root();
    for (key_id, is_forged) in [(&b"root's"[..], true), (b"another", false)] {
        let names = extension(35, false, &der(0x30, &[&der(0x80, &[key_id])]));
        let ca = Draft::ca("ca").with(names).by(&impostor);
        let loaded = Bundle::from_pem(bundle_text(&[&root, &ca]).as_bytes(), at(NOW));
        match loaded {
            // Its issuer is not in the bundle.
            Ok((bundle, _)) => assert!(!is_forged && bundle.partial_anchors() == ["CN=ca"]),
            Err(faults) => {
                assert!(is_forged);
                assert_eq!(faults[0].0, "CN=ca names an issuer, and its signature is wrong");
            }
        }
    }
}

#[test]
fn a_bundle_of_broken_blocks_has_a_bounded_answer() {
    let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n".repeat(2 * limits::FAULTS_MAX);
    let faults = Bundle::from_pem(&pem, at(NOW)).unwrap_err();
    assert_eq!(faults.len(), limits::FAULTS_MAX + 1);
}
