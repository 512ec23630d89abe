//! `portcullis explain`: how a client would be judged, told by the files and by a running node.
use crate::support::node::{Setup, piece, portcullis};
use crate::support::tools::{Ended, Identity, Tls, curl_https};
use crate::support::{Node, Target, pki};
use serde_json::Value;

fn configuration() -> String {
    let filters = "client_certificate_identity_filters: [{subject_cn: [\"device-*\"]}]";
    [
        piece::certificates(),
        piece::partners(),
        piece::targets(&[]),
        "listeners:\n".to_owned(),
        piece::https(
            "https",
            &format!(
                "{}\nserver_name_policies:\n\
                 - {{server_names: [open.example.com], mutual_authentication: {{mode: \"off\"}}}}\n\
                 - {{server_names: [\"*.api.example.com\"], {}}}",
                piece::verify(filters),
                piece::verify("refusal: http").replace("verify", "optional"),
            ),
        ),
        piece::http("plain", ""),
    ]
    .concat()
}

/// Asks about a client of the PKI, at the beginning of 2027.
fn explain(node: &Node, client: &str, more: &[&str]) -> Ended {
    let config = node.path("portcullis.yaml");
    let chain = pki().path(&format!("{client}.crt"));
    let config = config.to_str().unwrap();
    let asked = ["explain", "--config", config, "--cert", &chain, "--at", "2027-01-01"];
    let listener = ["--listener", "https"];
    let listener = if more.contains(&"--listener") { &[][..] } else { &listener };
    portcullis(&[&asked[..], listener, more].concat())
}

/// What was said, with the list's path cut short.
fn words(ended: Ended) -> String {
    ended.success().stdout.replace(&pki().path("naming.crl"), "naming.crl")
}

const GOOD: &str = "\
accepted: a path to the trust store is good

listener https, no server name: the listener's own policy applies
mode verify, trust store partners, refusal alert, 1 identity filter
judged for 2027-01-01T00:00:00Z by the files as they are

path 1, accepted:
  client  CN=device-17,O=Example,ST=Oslo,C=NO
          sent by the client
          serial number 03A5B1, ECDSA P-256
          issued by CN=Portcullis Tests Issuing,O=Example,ST=Oslo,C=NO
          valid from 2024-01-02T00:00:00Z to 2085-01-02T00:00:00Z
          looked up in naming.crl (entries 1, thisUpdate 2025-01-01T00:00:00Z, nextUpdate 2080-01-01T00:00:00Z)
";

const REVOKED: &str = "\
refused: ClientCertCrlHit (revoked)

listener https, no server name: the listener's own policy applies
mode verify, trust store partners, refusal alert, 1 identity filter
judged for 2027-01-01T00:00:00Z by the files as they are

path 1, refused with ClientCertCrlHit:
  client  CN=device-22,O=Example,ST=Oslo,C=NO
          sent by the client
          serial number 22, ECDSA P-256
          issued by CN=Portcullis Tests Issuing,O=Example,ST=Oslo,C=NO
          valid from 2024-01-02T00:00:00Z to 2085-01-02T00:00:00Z
          ! revoked at 2025-01-01T00:00:00Z, reason unspecified, by naming.crl (CRL number 2, thisUpdate 2025-01-01T00:00:00Z, nextUpdate 2080-01-01T00:00:00Z)
";

#[test]
fn the_files_are_asked_and_answer_in_words() {
    let node = Node::start(&configuration());
    let said = words(explain(&node, "good", &[]));
    assert!(said.starts_with(GOOD), "{said}");
    let end = "\nThis changes by itself at 2085-01-02T00:00:01Z: refused with ClientCertExpired from \
               then on.\n";
    assert!(said.ends_with(end), "{said}");
    let said = words(explain(&node, "revoked", &[]));
    assert!(said.starts_with(REVOKED), "{said}");
    let end = "This changes by itself at 2085-01-02T00:00:01Z: refused with ClientCertExpired from then \
               on.\n\nWhat to do: A CA has revoked the marked certificate. Issue a new one; if it was \
               revoked by mistake, publish a list without it and reload.\n";
    assert!(said.ends_with(end), "{said}");
}

/// Clients, the code of their refusal, and what its explanation says.
const CASES: [(&str, Option<&str>, &str); 10] = [
    ("good", None, ""),
    ("expired", Some("ClientCertExpired"), "! expired"),
    ("not-yet", Some("ClientCertNotYetValid"), "2080-01-02T00:00:00Z: accepted"),
    ("revoked", Some("ClientCertCrlHit"), "! revoked"),
    ("untrusted", Some("ClientCertUntrusted"), "was issued by CN=Stranger Root"),
    ("wrong-purpose", Some("ClientCertPurposeInvalid"), "not allow client authentication"),
    ("too-deep", Some("ClientCertMaxChainDepthExceeded"), "one CA too many"),
    ("weak", Some("ClientCertTypeUnsupported"), "! RSA of 1024 bits"),
    ("version-1", Some("ClientCertTypeUnsupported"), "! not X.509 version 3"),
    ("workload", Some("ClientCertRejected"), "san_uri: spiffe://example.org/orders/17"),
];

#[test]
fn each_refusal_is_explained_by_the_word_of_the_log_and_a_remark() {
    let target = Target::named("hello");
    let configuration = configuration()
        .replace("targets: []", &format!("targets: [{}]", target.entry()))
        .replace("[\"device-*\"]", "[\"device-*\", untrusted, too-deep]");
    let node = Node::start(&configuration);
    for (index, (client, code, word)) in CASES.into_iter().enumerate() {
        let said = explain(&node, client, &[]).success().stdout;
        let first = said.lines().next().unwrap_or_default();
        match code {
            None => assert!(first.starts_with("accepted: "), "{said}"),
            Some(code) => assert!(first.starts_with(&format!("refused: {code} (")), "{said}"),
        }
        assert!(said.contains(word), "{client}: {word}\n{said}");
        assert_eq!(said.contains("What to do: "), code.is_some(), "{said}");
        // The log says the same of the same client.
        let address = node.address("https");
        curl_https(address, "localhost", Identity::Pem(client), Tls::V13, &[]);
        let logged = code.map_or("Success".to_owned(), |code| format!("Failed:{code}"));
        let line = node.log_line(index);
        assert!(line.contains(&format!(" {logged} ")), "{client}: {line}");
    }
}

#[test]
fn a_running_node_gives_the_same_answer_with_its_generation() {
    let node = Node::start(&configuration());
    node.reload();
    for (client, code, _) in CASES {
        let of_files = explain(&node, client, &["--json"]).success().stdout;
        let of_node = explain(&node, client, &["--json", "--running"]).success().stdout;
        let as_a_node = of_files
            .replace("the files as they are", "generation 2")
            .replace("\"generation\": 0", "\"generation\": 2");
        assert_eq!(of_node, as_a_node);
        let answer: Value = serde_json::from_str(&of_node).expect("the answer is JSON");
        assert_eq!(answer["reason"].as_str(), code, "{client}");
        let words = explain(&node, client, &["--running"]).success().stdout;
        assert_eq!(words.trim_end(), answer["text"].as_str().unwrap_or_default(), "{client}");
    }
    // What the node holds counts, not what the files say meanwhile.
    node.write("portcullis.yaml", "nonsense");
    let socket = format!("unix:{}", node.path("portcullis.sock").display());
    let chain = pki().path("good.crt");
    let asked = ["explain", "--admin", &socket, "--listener", "https", "--cert", &chain, "--json"];
    let answer: Value = serde_json::from_str(&portcullis(&asked).success().stdout).unwrap();
    assert_eq!(answer["verdict"], "accepted");
    assert_eq!(answer["generation"], 2);
}

#[test]
fn the_json_has_everything_that_the_words_have() {
    let node = Node::start(&configuration());
    let more = ["--json", "--server-name", "A.API.example.com"];
    let answer = explain(&node, "revoked", &more).success().stdout;
    let answer: Value = serde_json::from_str(&answer).expect("the answer is JSON");
    assert_eq!(answer["verdict"], "refused");
    assert_eq!(answer["reason"], "ClientCertCrlHit");
    assert_eq!(answer["at"], "2027-01-01T00:00:00Z");
    let policy = &answer["policy"];
    assert_eq!(policy["server_name_policy"][0], "*.api.example.com");
    assert_eq!((&policy["mode"], &policy["refusal"]), (&"optional".into(), &"http".into()));
    assert_eq!(policy["trust_store"], "partners");
    let leaf = &answer["paths"][0]["certificates"][0];
    assert_eq!((&leaf["serial_number"], &leaf["revoked"]), (&"22".into(), &"unspecified".into()));
    assert_eq!(leaf["lists"][0]["file"], pki().path("naming.crl"));
    assert_eq!(answer["paths"][0]["certificates"].as_array().map(Vec::len), Some(3));
    assert_eq!(answer["changes"]["reason"], "ClientCertExpired");
    let text = answer["text"].as_str().unwrap_or_default();
    assert!(
        text.contains("server name A.API.example.com: the policy of *.api.example.com applies")
    );
    let open = explain(&node, "revoked", &["--server-name", "open.example.com"]).success().stdout;
    assert!(open.starts_with("accepted: no certificate is asked for\n"), "{open}");
    assert!(open.ends_with("This does not change by itself.\n"), "{open}");
}

#[test]
fn a_question_that_cannot_be_answered_gets_a_sentence() {
    let node = Node::start(&configuration());
    for running in [&[][..], &["--running"]] {
        for (more, word) in [
            (
                &["--listener", "htps"][..],
                "there is no listener htps; the listeners are https, plain",
            ),
            (&["--listener", "plain"], "plain HTTP"),
            (&["--server-name", "%&?=\u{e6} x"], ""),
        ] {
            let ended = explain(&node, "good", &[running, more].concat());
            assert_eq!(ended.code, Some(i32::from(!word.is_empty())), "{}", ended.said());
            assert!(ended.said().contains(word), "{}", ended.said());
        }
    }
    let config = node.path("portcullis.yaml");
    let ask = |cert: &str, at: &str| {
        let config = config.to_str().unwrap();
        let whom = ["explain", "--config", config, "--listener", "https"];
        portcullis(&[&whom[..], &["--cert", cert, "--at", at]].concat())
    };
    let key = pki().path("good.key");
    assert!(ask(&key, "2027-01-01").said().contains("holds no certificate"));
    assert!(ask("absent.crt", "2027-01-01").said().contains("absent.crt: No such file"));
    assert!(ask(&pki().path("good.crt"), "soon").said().contains("a time is written"));
}

#[test]
fn the_entry_that_hit_is_shown_as_long_as_its_file_is_the_one_that_was_loaded() {
    let more = [("more.crl", pki().issuing.crl(&[&[0x22], &[0x23]]))];
    let files = more.each_ref().map(|(name, content)| (*name, content.as_str()));
    let configuration = configuration().replace("naming.crl]", "naming.crl, more.crl]");
    let node = Node::with_files(Setup::default(), &configuration, &files);
    let revoked_by = |node: &Node| {
        let answer = explain(node, "revoked", &["--running", "--json"]).success().stdout;
        let answer: Value = serde_json::from_str(&answer).expect("the answer is JSON");
        answer["paths"][0]["certificates"][0].clone()
    };
    let leaf = revoked_by(&node);
    let [first, second] = leaf["revoked_by"].as_array().unwrap().as_slice() else {
        panic!("{leaf}")
    };
    assert_eq!(first["file"], pki().path("naming.crl"));
    assert_eq!((&second["file"], &second["serial_number"]), (&"more.crl".into(), &"22".into()));
    assert_eq!(second["revocation_date"], "2025-01-01T00:00:00Z");
    assert_ne!(first["crl_number"], second["crl_number"]);
    assert_eq!(leaf["unread_lists"], Value::Array(Vec::new()));

    // A file with a fault is not taken over, and is not what the node works by.
    node.write("more.crl", "nonsense");
    let leaf = revoked_by(&node);
    assert_eq!(leaf["revoked_by"].as_array().map(Vec::len), Some(1));
    let why = leaf["unread_lists"][0].as_str().unwrap_or_default();
    assert!(why.ends_with("/more.crl has changed since it was loaded"), "{why}");
    let words = explain(&node, "revoked", &["--running"]).success().stdout;
    assert!(words.contains("no entry is shown of one list: "), "{words}");
    assert!(words.contains("! revoked at 2025-01-01T00:00:00Z, "), "{words}");
}

#[test]
fn the_entry_of_a_list_that_a_command_added_is_shown_with_its_id() {
    let (bundle, empty) = (pki().read("partners.pem"), pki().issuing.crl(&[]));
    let files = [("partners.pem", bundle.as_str()), ("seed.crl", &empty)];
    let store = "trust_stores:\n  - {name: partners, source: api, ca_certificates_bundle: \
                 partners.pem, revocations: [seed.crl]}\n";
    let configuration = configuration().replace(&piece::partners(), store);
    let setup = Setup { node: ", state_dir: state", ..Setup::default() };
    let node = Node::with_files(setup, &configuration, &files);
    let naming = pki().path("naming.crl");
    node.trust("add-revocations", &["--trust-store", "partners", &naming]).success();
    for running in [&["--running"][..], &[]] {
        let said = words(explain(&node, "revoked", running));
        let entry = "! revoked at 2025-01-01T00:00:00Z, reason unspecified, by revocation 2, naming.crl (CRL";
        assert!(said.contains(entry), "{said}");
    }
}

#[test]
fn a_stale_list_is_explained_and_until_when_it_was_good() {
    let configuration =
        configuration().replace("naming.crl]}", "naming.crl], stale_revocations: refuse}");
    let node = Node::start(&configuration);
    let said = words(explain(&node, "good", &[]));
    assert!(said.starts_with(GOOD), "{said}");
    let end = "at 2080-01-01T00:00:01Z: refused with ClientCertCrlProcessingError from then on.\n";
    assert!(said.ends_with(end), "{said}");
    let config = node.path("portcullis.yaml");
    let cert = pki().path("good.crt");
    let asked = ["explain", "--config", config.to_str().unwrap(), "--cert", &cert, "--listener"];
    let said = words(portcullis(&[&asked[..], &["https", "--at", "2081-01-01"]].concat()));
    assert!(said.starts_with("refused: ClientCertCrlProcessingError ("), "{said}");
    assert!(said.contains("! no current revocation list vouches for it\n"), "{said}");
    assert!(said.contains("looked up in naming.crl (entries 1, "), "{said}");
    assert!(
        said.contains("What to do: The trust store asks for current revocation lists"),
        "{said}"
    );
}
