mod openssl;

use super::*;
use crate::tls::fixture::{Ca, Key, Pem};
use rcgen::{CertificateParams, DnType, SanType};

fn load(chain: &str, key: &str) -> Result<Certificate, Vec<CertificateFault>> {
    Certificate::from_pem("api".into(), chain.as_bytes(), key.as_bytes())
}

/// The only fault, in words.
fn fault(chain: &str, key: &str) -> CertificateFault {
    let mut faults = load(chain, key).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

fn chain_fault(chain: &str, key: &str) -> String {
    match fault(chain, key) {
        CertificateFault::Chain(message) => message,
        CertificateFault::Key(message) => panic!("the key's fault: {message}"),
    }
}

fn key_fault(chain: &str, key: &str) -> String {
    match fault(chain, key) {
        CertificateFault::Key(message) => message,
        CertificateFault::Chain(message) => panic!("the chain's fault: {message}"),
    }
}

fn pki() -> (Ca, Pem) {
    let ca = Ca::new(Key::P256);
    let leaf = ca.issue(Key::P256, &["api.example"]);
    (ca, leaf)
}

#[test]
fn each_supported_kind_of_key_loads() {
    let ca = Ca::new(Key::P256);
    for (key, ecdsa, key_bits) in [
        (Key::P256, true, 256),
        (Key::P384, true, 384),
        (Key::P521, true, 528),
        (Key::Rsa2048, false, 2048),
        (Key::Rsa3072, false, 3072),
    ] {
        let pem = ca.issue(key, &["api.example", "*.api.example"]);
        let chain = pem.chain.clone() + &ca.pem;
        let certificate = load(&chain, &pem.key).unwrap();
        assert_eq!(certificate.merit, Merit { ecdsa, hash_bits: 256, key_bits }, "{key:?}");
        assert_eq!(certificate.server_names, ["api.example", "*.api.example"]);
        assert_eq!(certificate.key.cert.len(), 2);
        // What rustls will serve; this also parses the leaf as rustls does.
        certificate.key.keys_match().unwrap();
    }
}

#[test]
fn keys_come_as_pkcs8_pkcs1_or_sec1() {
    let (_, leaf) = pki();
    assert!(leaf.key.contains("BEGIN PRIVATE KEY"));
    assert!(load(&leaf.chain, &leaf.key).is_ok());
    // `openssl ecparam -genkey` writes the curve in a block of its own first.
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let sec1 = format!("{parameters}{}", openssl::V1_KEY);
    assert!(sec1.contains("BEGIN EC PRIVATE KEY"));
    let rsa = Ca::new(Key::P256).issue(Key::Rsa2048, &["api.example"]);
    assert!(load(&rsa.chain, &rsa.key).is_ok());
    let mut faults = Vec::new();
    assert!(read_key(sec1.as_bytes(), &mut faults).is_some(), "{faults:?}");
}

#[test]
fn an_expired_certificate_loads_and_shows_its_end() {
    let ca = Ca::new(Key::P256);
    let mut params = CertificateParams::new(vec!["api.example".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 9, 9);
    let certificate = ca.issue_as(Key::P256, params).load();
    assert_eq!(certificate.not_after.as_secs(), 999_993_600);
}

#[test]
fn files_with_more_than_is_needed_load() {
    let (_, leaf) = pki();
    // A combined file, a byte-order mark, Windows line ends.
    let combined = format!("\u{feff}{}{}", leaf.chain, leaf.key).replace('\n', "\r\n");
    assert_eq!(load(&combined, &combined).unwrap().key.cert.len(), 1);
}

#[test]
fn a_chain_file_without_certificate_says_what_it_is() {
    let (ca, leaf) = pki();
    for empty in ["", "no PEM at all", &leaf.key] {
        assert!(chain_fault(empty, &leaf.key).contains("holds no certificate"), "{empty:?}");
    }
    let faults =
        Certificate::from_pem("api".into(), ca.der.as_ref(), leaf.key.as_bytes()).unwrap_err();
    assert!(matches!(&faults[..], [CertificateFault::Chain(it)] if it.contains("-inform DER")));
}

#[test]
fn broken_blocks_are_named_by_position() {
    let (ca, leaf) = pki();
    let no_end = leaf.chain.replace("-----END CERTIFICATE-----", "");
    assert_eq!(chain_fault(&no_end, &leaf.key), "PEM block 1 has no END line");
    let chain = leaf.chain.clone() + &ca.pem.replacen("MII", "M?I", 1);
    assert_eq!(chain_fault(&chain, &leaf.key), "PEM block 2 is not base64");
    let bad_begin = leaf.chain.replace("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE---");
    assert_eq!(chain_fault(&bad_begin, &leaf.key), "PEM block 1 has a malformed BEGIN line");
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let chain = leaf.chain.clone() + no_certificate;
    assert_eq!(chain_fault(&chain, &leaf.key), "certificate 2 of the chain is malformed");
}

#[test]
fn an_encrypted_key_is_answered_with_the_way_to_decrypt_it() {
    let (_, leaf) = pki();
    for encrypted in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
         -----END EC PRIVATE KEY-----\n",
    ] {
        assert!(key_fault(&leaf.chain, encrypted).contains("openssl pkey -in"), "{encrypted}");
    }
}

#[test]
fn a_key_file_without_one_usable_key_is_refused() {
    let (_, leaf) = pki();
    let unusable = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let several = leaf.key.clone() + &leaf.key;
    let ed25519 = Key::Ed25519.generate().serialize_pem();
    for (key, expected) in [
        ("", "holds no private key"),
        (&*leaf.chain, "holds no private key"),
        ("\x30\x01\x01", "-inform DER"),
        (unusable, "malformed, or of another kind than RSA and ECDSA"),
        (openssl::SECP256K1_KEY, "malformed, or of another kind than RSA and ECDSA"),
        (&ed25519, "malformed, or of another kind than RSA and ECDSA"),
        (&several, "several private keys"),
        ("-----BEGIN PRIVATE KEY-----\n", "PEM block 1 has no END line"),
    ] {
        let message = key_fault(&leaf.chain, key);
        assert!(message.contains(expected), "{key:?}: {message}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (ca, leaf) = pki();
    for other in [Key::P256, Key::P384, Key::Rsa2048] {
        let key = ca.issue(other, &["api.example"]).key;
        assert_eq!(key_fault(&leaf.chain, &key), "the key does not belong to the certificate");
    }
}

#[test]
fn a_chain_that_does_not_begin_with_the_leaf_is_refused() {
    let (ca, leaf) = pki();
    let chain = ca.pem + &leaf.chain;
    assert!(chain_fault(&chain, &leaf.key).starts_with("the key belongs to certificate 2 of"));
}

#[test]
fn a_version_1_certificate_is_answered_with_the_way_to_mend_it() {
    let message = chain_fault(openssl::V1, openssl::V1_KEY);
    assert!(message.contains("version 1") && message.contains("-extfile"), "{message}");
}

#[test]
fn a_short_rsa_key_is_refused_by_its_length() {
    let faults = load(openssl::RSA_1024, openssl::V1_KEY).unwrap_err();
    assert!(faults[0].to_string().contains("an RSA key of 1024 bits"), "{faults:?}");
}

#[test]
fn an_ed25519_certificate_is_refused() {
    let ed25519 = Ca::new(Key::P256).issue(Key::Ed25519, &["api.example"]);
    let faults = load(&ed25519.chain, &ed25519.key).unwrap_err();
    assert!(matches!(&faults[..], [CertificateFault::Chain(_), CertificateFault::Key(_)]));
}

/// Goal: one answer lists what is wrong with both files.
#[test]
fn all_faults_come_at_once() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let faults = load(&broken.repeat(3), "").unwrap_err();
    let words: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), 4, "{words:?}");
    for (index, word) in words[..3].iter().enumerate() {
        assert_eq!(*word, format!("certificate {} of the chain is malformed", index + 1));
    }
    assert!(words[3].contains("no private key"));
}

fn names(san: Vec<SanType>, common_name: &str) -> Vec<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = san;
    Ca::new(Key::P256).issue_as(Key::P256, params).load().server_names
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.to_owned().try_into().unwrap())
}

/// Source: RFC 6125, section 6.4.4.
#[test]
fn the_common_name_counts_only_without_alternative_names() {
    let address = SanType::IpAddress("192.0.2.1".parse().unwrap());
    assert_eq!(names(Vec::new(), "cn.example"), ["cn.example"]);
    assert_eq!(names(vec![dns("Api.Example")], "cn.example"), ["Api.Example"]);
    assert_eq!(names(vec![address], "cn.example"), [""; 0]);
}

/// Goal: a name that only looks like another answers for neither. Source: CVE-2025-66220.
#[test]
fn names_that_are_none_answer_for_nothing() {
    let odd = ["good.example\0.evil.example", "a..b", "*", "a.*.example", "192.0.2.1", "a b"];
    let mut san: Vec<_> = odd.iter().map(|name| dns(name)).collect();
    san.push(dns("good.example"));
    assert_eq!(names(san, "cn.example"), ["good.example"]);
    for common_name in ["My company", "good.example\0.evil", "exämple.com", "192.0.2.1", ""] {
        assert_eq!(names(Vec::new(), common_name), [""; 0], "{common_name:?}");
    }
}

#[test]
fn the_hash_of_a_pss_signature_is_in_its_parameters() {
    let der = CertificateDer::from_pem_slice(openssl::RSA_PSS_SHA384.as_bytes()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(hash_bits(&certificate.signature_algorithm), 384);
}

#[test]
fn a_certificate_does_not_print_its_key() {
    let (_, leaf) = pki();
    let shown = format!("{:?}", leaf.load());
    assert!(shown.contains("ECDSA") && !shown.contains("secret"), "{shown}");
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let bytes = key.secret_der()[36..40].iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    assert!(!shown.contains(&bytes), "{shown}");
}
