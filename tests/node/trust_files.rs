//! Bundles, revocation lists, certificates and keys: what they mean in any order, and that a bad one
//! changes nothing.
use crate::support::node::{named, piece};
use crate::support::tools::{self, Identity, Tls, curl_https, curl_was_refused};
use crate::support::{Node, Setup, Target, pki};

/// One `verify` listener; the trust files and the server's certificate lie beside the configuration.
fn node(target: &Target) -> Node {
    let read = |file: &str| pki().read(file);
    let (bundle, naming, empty) = (read("partners.pem"), read("naming.crl"), read("empty.crl"));
    let (chain, key) = (read("server-ecdsa.crt"), read("server-ecdsa.key"));
    let files = [
        ("partners.pem", bundle.as_str()),
        ("first.crl", &naming),
        ("second.crl", &empty),
        ("server.crt", &chain),
        ("server.key", &key),
    ];
    Node::with_files(Setup::default(), &configuration(target), &files)
}

fn configuration(target: &Target) -> String {
    [
        "certificates: [{name: ecdsa, chain: server.crt, key: server.key}]\n".to_owned(),
        "trust_stores:\n  - {name: partners, ca_certificates_bundle: partners.pem, \
         revocations: [first.crl, second.crl]}\n"
            .to_owned(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", &piece::verify("")),
    ]
    .concat()
}

/// Whether curl gets in with this certificate.
fn gets_in(node: &Node, client: &'static str) -> bool {
    let ended =
        curl_https(node.address("https"), "localhost", Identity::Pem(client), Tls::V13, &[]);
    assert!(ended.code == Some(0) || curl_was_refused(&ended), "{}", ended.said());
    ended.code == Some(0)
}

/// Design decision 3: rustls-webpki takes the first list of an issuer, and accepts a revoked client.
#[test]
fn two_lists_of_one_issuer_are_joined_in_any_order() {
    let target = Target::named("hello");
    let node = node(&target);
    let (empty, naming) = (pki().issuing.crl(&[]), pki().issuing.crl(&[&[0x22]]));
    let other = pki().issuing.crl(&[&[0x03, 0xa5, 0xb1]]);
    // The lists, whether `revoked` and `good` get in. Two lists in one file count as two files.
    let cases = [
        ([&empty, &naming], false, true),
        ([&naming, &empty], false, true),
        ([&naming, &other], false, false),
        ([&other, &naming], false, false),
        ([&empty, &empty], true, true),
        ([&(empty.clone() + &naming), &empty], false, true),
        ([&(naming.clone() + &empty), &other], false, false),
    ];
    for (index, ([first, second], revoked, good)) in cases.into_iter().enumerate() {
        node.write("first.crl", first);
        node.write("second.crl", second);
        node.reload();
        assert_eq!(gets_in(&node, "revoked"), revoked, "revoked, case {index}");
        assert_eq!(gets_in(&node, "good"), good, "good, case {index}");
    }
}

#[test]
fn a_list_in_der_form_is_read_too() {
    let target = Target::named("hello");
    let node = node(&target);
    let (naming, der) = (pki().path("naming.crl"), node.path("first.crl"));
    let arguments = ["crl", "-in", &naming, "-outform", "DER", "-out", der.to_str().unwrap()];
    tools::run("openssl", &arguments, b"").success();
    node.reload();
    assert!(!gets_in(&node, "revoked"));
    assert!(gets_in(&node, "good"));
}

#[test]
fn a_revoked_intermediate_refuses_all_clients_below_it() {
    let target = Target::named("hello");
    let node = node(&target);
    assert!(gets_in(&node, "good"));
    let text =
        tools::run("openssl", &["x509", "-noout", "-serial"], pki().issuing.pem().as_bytes());
    let serial = text.stdout.trim().strip_prefix("serial=").expect("openssl prints a serial");
    let bytes = (0..serial.len()).step_by(2).map(|at| u8::from_str_radix(&serial[at..at + 2], 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().expect("it is hexadecimal");
    node.write("second.crl", &pki().root.crl(&[&bytes]));
    node.reload();
    assert!(!gets_in(&node, "good"));
    assert!(node.log_line(1).contains("Failed:ClientCertCrlHit"));
}

#[test]
fn a_bad_file_changes_nothing_and_every_fault_is_told() {
    let target = Target::named("hello");
    let node = node(&target);
    let bundle = pki().read("partners.pem");
    // Cut off within a certificate, and within the line that begins one.
    let cut = bundle[..bundle.len() - 100].to_owned();
    let begun = bundle.clone() + "-----BEGIN CERT";
    let version_1 = pki().read("version-1.crt");
    let stranger_list = pki().stranger.crl(&[&[1]]);
    let forged_list = {
        // The right issuer by name, another key.
        let pretender = pki().root.intermediate("Portcullis Tests Issuing");
        pretender.crl(&[])
    };
    let wrong_key = pki().read("server-rsa.key");
    // A file, its bad content, and a word that the answer must hold beside the file's name.
    let cases: [(&str, &str, &str); 17] = [
        ("partners.pem", "", "partners.pem"),
        ("partners.pem", "not a certificate", "partners.pem"),
        ("partners.pem", &cut, "partners.pem"),
        ("partners.pem", &begun, "partners.pem"),
        ("partners.pem", &(bundle.clone() + &pki().read("good.crt")), "device-17"),
        ("partners.pem", &(bundle.clone() + &version_1), "version-1"),
        ("partners.pem", &(bundle.clone() + &version_1), "-extfile"),
        ("first.crl", "", "first.crl"),
        ("first.crl", "not a list", "first.crl"),
        ("first.crl", &pki().read("root.crt"), "first.crl"),
        ("second.crl", &stranger_list, "second.crl"),
        ("second.crl", &forged_list, "second.crl"),
        ("server.crt", "", "server.crt"),
        (
            "server.crt",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "server.crt",
        ),
        ("server.key", "", "server.key"),
        (
            "server.key",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "server.key",
        ),
        ("server.key", &wrong_key, "certificate"),
    ];
    for (index, (file, bad, word)) in cases.iter().enumerate() {
        let kept = std::fs::read_to_string(node.path(file)).unwrap();
        node.write(file, bad);
        let said = node.reload_refused();
        assert!(said.contains(word), "case {index}, {file}: {said}");
        assert!(gets_in(&node, "good"), "case {index}, {file}");
        assert!(!gets_in(&node, "revoked"), "case {index}, {file}");
        node.write(file, &kept);
        node.reload();
    }
    // All at once: each is told.
    node.write("partners.pem", "no bundle");
    node.write("server.key", "no key");
    node.configure(&configuration(&target).replace("name: https", "name: https\n    colour: red"));
    let said = node.reload_refused();
    for word in ["partners.pem", "server.key", "colour"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(gets_in(&node, "good"));
    node.assert_no_panic();
}

#[test]
fn one_unusable_certificate_refuses_the_whole_bundle_at_start_too() {
    let target = Target::named("hello");
    let directory = crate::support::scratch::Scratch::new("check");
    let at = |file: &str| directory.path().join(file);
    for file in ["partners.pem", "server-ecdsa.crt", "server-ecdsa.key", "naming.crl"] {
        std::fs::copy(pki().path(file), at(file)).unwrap();
    }
    let expired_ca = pki().read("partners.pem")
        + "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    std::fs::write(at("partners.pem"), expired_ca).unwrap();
    std::fs::copy(at("naming.crl"), at("first.crl")).unwrap();
    std::fs::copy(pki().path("empty.crl"), at("second.crl")).unwrap();
    std::fs::copy(at("server-ecdsa.crt"), at("server.crt")).unwrap();
    std::fs::copy(at("server-ecdsa.key"), at("server.key")).unwrap();
    std::fs::write(at("portcullis.yaml"), configuration(&target)).unwrap();
    let file = at("portcullis.yaml");
    for command in ["check", "serve"] {
        let ended =
            crate::support::node::portcullis(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!(ended.code, Some(1), "{command}: {}", ended.said());
        assert!(ended.said().contains("trust_stores[0]"), "{command}: {}", ended.said());
    }
}

/// The recipe of Huawei's guide for its dedicated load balancer and of API7's for mutual TLS:
/// `openssl x509 -req` without `-extfile` makes version 1 certificates, the root's included.
#[test]
fn a_version_1_root_anchors_with_a_warning_and_other_version_1_certificates_do_not_pass() {
    let target = Target::named("hello");
    let node = node(&target);
    let at = |file: &str| node.path(file).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| tools::run("openssl", arguments, b"").success();
    let request = |name: &str| {
        openssl(&["genrsa", "-out", &at(&format!("{name}.key")), "2048"]);
        let subject = format!("/C=NO/O=Example/CN={name}");
        let (key, csr) = (at(&format!("{name}.key")), at(&format!("{name}.csr")));
        openssl(&["req", "-new", "-key", &key, "-subj", &subject, "-out", &csr]);
        csr
    };
    // Huawei: `openssl x509 -req -in ca.csr -out ca.crt -sha256 -signkey ca.key -days 5000`.
    let (csr, root, root_key) = (request("old-root"), at("old-root.crt"), at("old-root.key"));
    let sign = ["x509", "-req", "-in", &csr, "-out", &root, "-sha256", "-signkey", &root_key];
    openssl(&[&sign[..], &["-days", "5000"]].concat());
    let text = openssl(&["x509", "-in", &root, "-noout", "-text"]);
    assert!(text.stdout.contains("Version: 1 "), "{}", text.stdout);
    // A client by the same recipe, and one with the option that mends it.
    std::fs::write(node.path("v3.ext"), "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n")
        .unwrap();
    let extensions = at("v3.ext");
    for (name, more) in [("old-client", &[][..]), ("mended-client", &["-extfile", &extensions][..])]
    {
        let (csr, crt) = (request(name), at(&format!("{name}.crt")));
        let sign =
            ["x509", "-req", "-in", &csr, "-CA", &root, "-CAkey", &root_key, "-CAcreateserial"];
        openssl(&[&sign[..], &["-days", "3650", "-sha256", "-out", &crt], more].concat());
    }
    let both = pki().read("partners.pem") + &std::fs::read_to_string(&root).unwrap();
    node.write("partners.pem", &both);
    node.reload();
    let warnings = node.status()["warnings"].to_string();
    assert!(warnings.contains("old-root"), "{warnings}");
    let ask = |name: &str| {
        let url = format!("https://localhost:{}/", node.address("https").port());
        let (crt, key) = (at(&format!("{name}.crt")), at(&format!("{name}.key")));
        let root = pki().path("root.crt");
        tools::curl(&["-4", "--cacert", &root, "--cert", &crt, "--key", &key, &url])
    };
    let (old, mended) = (ask("old-client"), ask("mended-client"));
    assert_eq!(mended.code, Some(0), "{}", mended.said());
    assert_ne!(old.code, Some(0), "{}", old.said());
    assert!(node.log_line(0).contains("Failed:ClientCertTypeUnsupported"), "{:?}", node.log());
    // A version 1 server certificate is refused with the option that mends it.
    node.write("server.crt", &std::fs::read_to_string(node.path("old-client.crt")).unwrap());
    node.write("server.key", &std::fs::read_to_string(node.path("old-client.key")).unwrap());
    let said = node.reload_refused();
    assert!(said.contains("-extfile"), "{said}");
}

#[test]
fn status_tells_what_is_in_a_trust_store() {
    let target = Target::named("hello");
    let node = node(&target);
    let status = node.status();
    let store = named(&status["trust_stores"], "partners");
    assert_eq!(store["ca_certificates"], 2, "{status}");
    assert_eq!(store["revoked_entries"], 1, "{status}");
    // An intermediate whose issuer is not in the bundle anchors, and status says so.
    node.write("partners.pem", &pki().issuing.pem());
    node.reload();
    assert!(gets_in(&node, "good"));
    assert!(node.status().to_string().contains("CN=Portcullis Tests Issuing"), "{}", node.status());
}
