use super::*;

const A: [&str; 3] =
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
const B: [&str; 4] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];
const C: &str = "ECDHE-ECDSA-AES128-SHA256 ECDHE-RSA-AES128-SHA256 \
                 ECDHE-ECDSA-AES256-SHA384 ECDHE-RSA-AES256-SHA384";
const CE: &str = "ECDHE-ECDSA-AES128-SHA256 ECDHE-RSA-AES128-SHA256 \
                  ECDHE-ECDSA-AES256-SHA384 ECDHE-RSA-AES256-SHA384 \
                  AES128-GCM-SHA256 AES128-SHA256 AES256-GCM-SHA384 AES256-SHA256";
const CDEF: &str = "ECDHE-ECDSA-AES128-SHA256 ECDHE-RSA-AES128-SHA256 \
                    ECDHE-ECDSA-AES128-SHA ECDHE-RSA-AES128-SHA \
                    ECDHE-ECDSA-AES256-SHA384 ECDHE-RSA-AES256-SHA384 \
                    ECDHE-ECDSA-AES256-SHA ECDHE-RSA-AES256-SHA \
                    AES128-GCM-SHA256 AES128-SHA256 AES128-SHA \
                    AES256-GCM-SHA384 AES256-SHA256 AES256-SHA";

/// Goal: the whole of ALB's table, written a second time by hand: versions, suites in order, what is
/// left out in order. Source: ALB guide, "Security policies".
#[test]
fn policies_are_those_of_alb() {
    let table = [
        ("TLS13-1-3-2021-06", "TLSv1.3", "A", "", ""),
        ("TLS13-1-3-PQ-2025-09", "TLSv1.3", "A", "", ""),
        ("TLS13-1-2-Res-2021-06", "TLSv1.3 TLSv1.2", "AB", "", ""),
        ("TLS13-1-2-Res-PQ-2025-09", "TLSv1.3 TLSv1.2", "AB", "", ""),
        ("TLS13-1-2-2021-06", "TLSv1.3 TLSv1.2", "AB", "", C),
        ("TLS13-1-2-PQ-2025-09", "TLSv1.3 TLSv1.2", "AB", "", C),
        ("TLS13-1-2-Ext1-2021-06", "TLSv1.3 TLSv1.2", "AB", "", CE),
        ("TLS13-1-2-Ext1-PQ-2025-09", "TLSv1.3 TLSv1.2", "AB", "", CE),
        ("TLS13-1-2-Ext2-2021-06", "TLSv1.3 TLSv1.2", "AB", "", CDEF),
        ("TLS13-1-2-Ext2-PQ-2025-09", "TLSv1.3 TLSv1.2", "AB", "", CDEF),
        ("TLS13-1-1-2021-06", "TLSv1.3 TLSv1.2", "AB", "TLSv1.1", CDEF),
        ("TLS13-1-0-2021-06", "TLSv1.3 TLSv1.2", "AB", "TLSv1.1 TLSv1", CDEF),
        ("TLS13-1-0-PQ-2025-09", "TLSv1.3 TLSv1.2", "AB", "TLSv1.1 TLSv1", CDEF),
        ("TLS-1-2-Ext-2018-06", "TLSv1.2", "B", "", CDEF),
        ("TLS-1-2-2017-01", "TLSv1.2", "B", "", CE),
        ("TLS-1-1-2017-01", "TLSv1.2", "B", "TLSv1.1", CDEF),
        ("2016-08", "TLSv1.2", "B", "TLSv1.1 TLSv1", CDEF),
    ];
    let listed: Vec<_> = table.iter().map(|row| format!("ELBSecurityPolicy-{}", row.0)).collect();
    assert_eq!(names(), listed);
    for (name, (_, versions, sets, protocols_left_out, ciphers_left_out)) in
        names().iter().zip(table)
    {
        let policy = Policy::by_name(name).unwrap();
        assert_eq!(policy.name, *name);
        let offered: Vec<_> =
            policy.versions.iter().map(|version| version_name(version.version)).collect();
        assert_eq!(offered.join(" "), versions, "{name}");

        let tls13 = A.iter().filter(|_| sets.contains('A'));
        let tls12 = B.iter().filter(|_| sets.contains('B'));
        let suites: Vec<_> = tls13.chain(tls12).copied().collect();
        let offered: Vec<_> =
            policy.provider.cipher_suites.iter().map(|suite| suite_name(suite.suite())).collect();
        assert_eq!(offered, suites, "{name}");

        let left_out: Vec<_> = protocols_left_out
            .split_whitespace()
            .chain(ciphers_left_out.split_whitespace())
            .collect();
        assert_eq!(policy.left_out, left_out, "{name}");
    }
}

#[test]
fn pq_policies_put_hybrid_groups_first_and_keep_classical_ones() {
    for name in names() {
        let policy = Policy::by_name(name).unwrap();
        let groups: Vec<_> =
            policy.provider.kx_groups.iter().map(|group| group_name(group.name())).collect();
        let classical = ["x25519", "secp256r1", "secp384r1"];
        if name.contains("-PQ-") {
            assert_eq!(groups[..2], ["X25519MLKEM768", "SecP256r1MLKEM768"], "{name}");
            assert_eq!(groups[2..], classical, "{name}");
            assert_eq!(policy.groups_left_out, ["SecP384r1MLKEM1024"], "{name}");
        } else {
            assert_eq!(groups, classical, "{name}");
            assert!(policy.groups_left_out.is_empty(), "{name}");
        }
    }
}

/// A default that warns in every log would be a bad default.
#[test]
fn the_default_policy_is_held_whole() {
    assert!(Policy::by_name(DEFAULT).unwrap().left_out.is_empty());
}

#[test]
fn families_that_are_not_offered_say_so() {
    for (name, family) in [
        ("ELBSecurityPolicy-TLS13-1-2-Res-FIPS-2023-04", "FIPS"),
        ("ELBSecurityPolicy-TLS13-1-3-FIPS-PQ-2025-09", "FIPS"),
        ("ELBSecurityPolicy-TLS13-1-2-RFC9151-FIPS-2023-07", "RFC 9151"),
        ("ELBSecurityPolicy-FS-1-2-Res-2020-10", "forward-secrecy"),
        ("ELBSecurityPolicy-FS-2018-06", "forward-secrecy"),
    ] {
        let fault = Policy::by_name(name).unwrap_err();
        assert!(matches!(fault, PolicyFault::NotOffered(_)), "{name}");
        let message = fault.to_string();
        assert!(message.contains(family) && message.ends_with("is not offered"), "{message}");
    }
}

#[test]
fn an_unknown_name_is_answered_with_all_names() {
    for name in ["", "elbsecuritypolicy-2016-08", "ELBSecurityPolicy-2016-09", "ELBSecurityPolicy-"]
    {
        let message = Policy::by_name(name).unwrap_err().to_string();
        assert!(names().iter().all(|name| message.contains(name)), "{message}");
    }
}

#[test]
fn what_is_not_offered_has_no_name() {
    assert_eq!(suite_name(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256), "-");
    assert_eq!(suite_name(CipherSuite::TLS_RSA_WITH_AES_128_CBC_SHA), "-");
    assert_eq!(version_name(ProtocolVersion::TLSv1_1), "-");
    assert_eq!(group_name(NamedGroup::X448), "-");
}

#[test]
fn no_policy_verifies_ed25519_or_sha_1() {
    use rustls::SignatureScheme;
    for name in names() {
        let policy = Policy::by_name(name).unwrap();
        let schemes = policy.provider.signature_verification_algorithms.supported_schemes();
        assert_eq!(schemes.len(), 9, "{name}");
        for scheme in [
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ] {
            assert!(!schemes.contains(&scheme), "{name} {scheme:?}");
        }
    }
}
