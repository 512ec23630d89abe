//! Names, the set of forbidden ones, and the encodings.
use super::*;

fn renamed() -> Names {
    Names { leaf: "X-Client-Leaf".into(), subject: "Client_Subject".into(), ..Names::default() }
}

/// Every way to write a name that some target could take for it.
fn disguises(name: &str) -> Vec<String> {
    let last_folded = name.rfind('-').map(|at| {
        let mut one = name.to_owned();
        one.replace_range(at..=at, "_");
        one
    });
    let mut all = vec![
        name.to_owned(),
        name.to_lowercase(),
        name.to_uppercase(),
        name.replace('-', "_"),
        name.replace('_', "-"),
        name.to_uppercase().replace('-', "_"),
        name.replace('-', "."),
    ];
    all.extend(last_folded);
    all
}

/// `alb-contract.md`, section 1.4: every default and every configured name, in any case, `-` or `_`.
#[test]
fn every_identity_name_is_forbidden_in_every_disguise() {
    let listeners = [Names::default(), renamed()];
    let forbidden = Forbidden::new(&listeners);
    for name in listeners.iter().flat_map(Names::all) {
        for disguise in disguises(name) {
            assert!(forbidden.contains(&disguise), "{disguise}");
        }
    }
}

#[test]
fn default_names_are_forbidden_whatever_is_configured() {
    let all_renamed = Names {
        serial_number: "A".into(),
        issuer: "B".into(),
        subject: "C".into(),
        validity: "D".into(),
        leaf: "E".into(),
        chain: "F".into(),
        tls_version: "G".into(),
        tls_cipher_suite: "H".into(),
    };
    for forbidden in [Forbidden::default(), Forbidden::new([]), Forbidden::new([&all_renamed])] {
        assert!(Names::default().all().iter().all(|name| forbidden.contains(name)));
    }
    assert!(!Forbidden::default().contains("A"));
    assert!(Forbidden::new([&all_renamed]).contains("a"));
}

#[test]
fn other_names_are_not_forbidden() {
    let forbidden = Forbidden::new([&renamed()]);
    for name in [
        "",
        "X",
        "Host",
        "Accept",
        "X-Amzn-Trace-Id",
        "X-Amzn-Mtls-Clientcert-",
        "X-Amzn-Mtls-Clientcerts",
        "XX-Amzn-Mtls-Clientcert",
        "X-Amzn-Mtls-Clientcert-Leaf-",
        "X-Client-Lea",
        "XClient-Leaf",
    ] {
        assert!(!forbidden.contains(name), "{name}");
    }
    // A length that shares its bit with one of the names.
    assert!(!forbidden.contains(&"X".repeat(64 + "X-Amzn-Mtls-Clientcert".len())));
}

/// RFC 4648, section 10.
#[test]
fn base64_is_that_of_the_rfc() {
    for (input, expected) in [
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        let mut out = String::new();
        input.as_bytes().chunks(3).for_each(|group| push_base64(&mut out, group));
        assert_eq!(out, expected);
    }
    let mut out = String::new();
    push_base64(&mut out, &[0xfb, 0xff, 0xbf]);
    assert_eq!(out, "+/+/");
}

/// `alb-contract.md`, section 1.3: lines of 64 characters, LF as `%0A` also behind each END line, space
/// as `%20`, `+`, `/`, `=` and `-` as they are.
#[test]
fn a_chain_is_url_encoded_pem_leaf_first() {
    let chain = [CertificateDer::from(vec![0xfb; 49]), CertificateDer::from(vec![0; 48])];
    let line = passed_through(&Names::default(), &chain).unwrap();
    assert_eq!(
        String::from_utf8(line).unwrap(),
        format!(
            "X-Amzn-Mtls-Clientcert: \
             -----BEGIN%20CERTIFICATE-----%0A{}%0A+w==%0A-----END%20CERTIFICATE-----%0A\
             -----BEGIN%20CERTIFICATE-----%0A{}%0A-----END%20CERTIFICATE-----%0A\r\n",
            "+/v7".repeat(16),
            "A".repeat(64),
        )
    );
}

#[test]
fn no_chain_gives_no_line() {
    assert_eq!(passed_through(&Names::default(), &[]), Ok(Vec::new()));
}

/// Goal: the bound is on the block as sent. Method: the largest leaf that fits, and 3 bytes more.
#[test]
fn a_block_over_its_bound_is_refused() {
    let encoded = |der_bytes: usize| {
        let chain = [CertificateDer::from(vec![0; der_bytes])];
        passed_through(&Names::default(), &chain).map(|block| block.len())
    };
    let fitting = (34_998..36_000).rev().step_by(3).find(|bytes| encoded(*bytes).is_ok());
    let fitting = fitting.unwrap();
    assert!(encoded(fitting).unwrap() > IDENTITY_BYTES_MAX - 8);
    assert_eq!(encoded(fitting + 3), Err(Refusal::MaxSizeExceeded));
    assert_eq!(encoded(10 * IDENTITY_BYTES_MAX), Err(Refusal::MaxSizeExceeded));
}

/// Goal: a certificate's fields never end a header line, whoever made them.
#[test]
fn a_value_that_could_not_stand_in_a_header_is_refused() {
    for value in ["a\r\nX-Admin: yes", "a\nb", "a\rb", "a\0b", "a\tb", "\u{e9}", "a\u{7f}"] {
        assert_eq!(block(&[("X", value)]), Err(Refusal::Invalid), "{value:?}");
    }
    assert_eq!(
        block(&[("X", "CN=a b,O=\\C3"), ("Y", "")]),
        Ok(b"X: CN=a b,O=\\C3\r\nY: \r\n".to_vec())
    );
}

/// `alb-contract.md`, section 1.3: names, order and values.
#[test]
fn a_verified_client_gets_five_lines() {
    let facts = Facts {
        serial_number: "03A5B1".into(),
        issuer: "CN=edge-ca,O=Example,C=NO".into(),
        subject: "CN=device-17,O=Example,C=NO".into(),
        not_before: rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            1_767_323_045,
        )),
        not_after: rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            1_798_859_045,
        )),
    };
    let leaf = CertificateDer::from(vec![0; 3]);
    let lines = verified(&renamed(), &facts, &leaf).unwrap();
    assert_eq!(
        String::from_utf8(lines).unwrap(),
        "X-Amzn-Mtls-Clientcert-Serial-Number: 03A5B1\r\n\
         X-Amzn-Mtls-Clientcert-Issuer: CN=edge-ca,O=Example,C=NO\r\n\
         Client_Subject: CN=device-17,O=Example,C=NO\r\n\
         X-Amzn-Mtls-Clientcert-Validity: \
         NotBefore=2026-01-02T03:04:05Z;NotAfter=2027-01-02T03:04:05Z\r\n\
         X-Client-Leaf: -----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----%0A\r\n"
    );
}
