//! `--dry-run`: who would be judged otherwise after a change, and that asking changes nothing.
use crate::support::client::{tls_config, tls_config_with};
use crate::support::node::{Setup, piece, portcullis};
use crate::support::pki::{GOOD_SERIAL, Issued};
use crate::support::tools::{Identity, Tls, curl_https};
use crate::support::{Client, Node, Target, pki};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Trust store `partners` is made of the files `partners.pem` and `seed.crl` beside the configuration.
fn node(target: &Target, source: &str, list: &str) -> Node {
    let bundle = pki().read("partners.pem");
    let files = [("partners.pem", bundle.as_str()), ("seed.crl", list)];
    let setup = Setup { shards: 2, node: ", state_dir: state", ..Setup::default() };
    Node::with_files(setup, &configuration(target, source, &piece::verify("")), &files)
}

fn configuration(target: &Target, source: &str, authentication: &str) -> String {
    [
        piece::certificates(),
        format!(
            "trust_stores:\n  - {{name: partners, source: {source}, \
             ca_certificates_bundle: partners.pem, revocations: [seed.crl]}}\n"
        ),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", authentication),
    ]
    .concat()
}

fn comes_and_goes(node: &Node, client: &'static str) {
    curl_https(node.address("https"), "localhost", Identity::Pem(client), Tls::V13, &[]);
}

/// A connection that has been served, and stays.
fn stays(node: &Node, client: Option<&str>) -> Client {
    let mut client = Client::tls(node.address("https"), "localhost", &tls_config(client));
    assert_eq!(client.get("/").status, 200);
    client
}

/// What a dry run answers, which must change neither the generation nor any file.
fn asked(node: &Node, command: &str, arguments: &[&str]) -> Value {
    let (generation, files) = (node.generation(), files(node));
    let ended = match command {
        "reload" => {
            let config = node.path("portcullis.yaml");
            let config = config.to_str().unwrap();
            portcullis(
                &[&["reload", "--config", config, "--dry-run", "--json"], arguments].concat(),
            )
        }
        command => {
            let store = ["--trust-store", "partners", "--dry-run", "--json"];
            node.trust(command, &[&store, arguments].concat())
        }
    };
    let answer: Value = serde_json::from_str(&ended.success().stdout).expect("the answer is JSON");
    assert_eq!(answer["generation"], generation);
    assert_eq!(node.generation(), generation);
    assert_eq!(self::files(node), files);
    answer
}

/// What a dry run says that has no answer.
fn refused(node: &Node, command: &str, arguments: &[&str]) -> String {
    let store = ["--trust-store", "partners", "--dry-run"];
    let ended = node.trust(command, &[&store, arguments].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    ended.stderr
}

/// Everything that a command might write.
fn files(node: &Node) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for directory in [node.path("."), node.path("state"), node.path("state/trust_stores")] {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            let is_log = ["log", "stderr"].iter().any(|end| path.ends_with(end))
                || path.extension().is_some_and(|extension| extension == "log");
            if path.is_file() && !is_log {
                files.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// The totals of an answer: clients, newly refused, newly accepted, otherwise refused, live connections.
fn totals(answer: &Value) -> [u64; 5] {
    ["clients", "newly_refused", "newly_accepted", "otherwise_refused", "live_connections"]
        .map(|key| answer[key].as_u64().expect("a total is a number"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn naming_device_22(node: &Node) -> String {
    node.write("naming.crl", &pki().issuing.crl(&[&[0x22]]));
    text(&node.path("naming.crl")).to_owned()
}

#[test]
fn a_dry_run_names_whom_the_command_then_refuses_and_changes_nothing() {
    let target = Target::named("hello");
    let node = node(&target, "api", &pki().issuing.crl(&[]));
    comes_and_goes(&node, "good");
    comes_and_goes(&node, "revoked");
    comes_and_goes(&node, "revoked");
    comes_and_goes(&node, "untrusted");
    let mut others = [stays(&node, Some("good-rsa")), stays(&node, Some("good"))];
    let mut ends = [stays(&node, Some("revoked")), stays(&node, Some("revoked"))];
    let naming = naming_device_22(&node);

    let answer = asked(&node, "add-revocations", &[&naming]);
    assert_eq!(totals(&answer), [4, 1, 0, 0, 2], "{answer}");
    let [change] = answer["changes"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!(change["subject"], "CN=device-22,O=Example,ST=Oslo,C=NO");
    assert_eq!((&change["serial_number"], &change["listener"]), (&json!("22"), &json!("https")));
    assert_eq!((&change["count"], &change["live_connections"]), (&json!(4), &json!(2)));
    assert_eq!(change["now"], json!({"verdict": "accepted", "reason": null, "in_words": null}));
    let refused =
        json!({"verdict": "refused", "reason": "ClientCertCrlHit", "in_words": "revoked"});
    assert_eq!(change["then"], refused);
    assert_eq!(change["on_revocation"], "drain");
    assert!(change["last_seen"].as_str().is_some_and(|time| time.ends_with('Z')), "{change}");
    for client in ends.iter_mut().chain(&mut others) {
        assert_eq!(client.get("/").status, 200, "nothing has changed");
    }

    let words = node.trust("add-revocations", &["--trust-store", "partners", "--dry-run", &naming]);
    let words = words.success().stdout;
    for part in [
        "nothing has changed: generation 1 stays live\n",
        "CN=device-22,O=Example,ST=Oslo,C=NO  22             https (localhost)  20",
        "  4      2 (drain)  accepted  ClientCertCrlHit (revoked)\n",
        "1 of 4 clients seen lately would change: 1 refused, 0 accepted, 0 refused for another \
         reason; live connections: 2\n",
    ] {
        assert!(words.contains(part), "{part}\n{words}");
    }

    node.trust("add-revocations", &["--trust-store", "partners", &naming]).success();
    for client in &mut ends {
        assert_eq!(client.until_closed(), b"");
    }
    for client in &mut others {
        assert_eq!(client.get("/").status, 200);
    }
    // What was asked about has happened: it changes nobody any more, and its removal does.
    let answer = asked(&node, "add-revocations", &[&naming]);
    assert_eq!(totals(&answer), [4, 0, 0, 0, 0], "{answer}");
    let answer = asked(&node, "remove-revocations", &["2"]);
    assert_eq!(totals(&answer), [4, 0, 1, 0, 0], "{answer}");
    assert_eq!(answer["changes"][0]["now"]["reason"], "ClientCertCrlHit");
    node.assert_no_panic();
}

#[test]
fn a_bundle_that_lets_somebody_in_is_told_by_who_was_refused() {
    let target = Target::named("hello");
    let node = node(&target, "api", &pki().issuing.crl(&[]));
    comes_and_goes(&node, "untrusted");
    comes_and_goes(&node, "good");
    node.write("both.pem", &(pki().read("partners.pem") + &pki().read("stranger.crt")));
    let both = node.path("both.pem");
    let answer = asked(&node, "replace", &["--ca-certificates-bundle", text(&both)]);
    assert_eq!(totals(&answer), [2, 0, 1, 0, 0], "{answer}");
    assert_eq!(answer["changes"][0]["now"]["reason"], "ClientCertUntrusted");
    assert_eq!(answer["changes"][0]["last_refusal"], "ClientCertUntrusted");
    assert_eq!(answer["changes"][0]["then"]["verdict"], "accepted");
    let alone = pki().path("stranger.crt");
    let arguments = ["--ca-certificates-bundle", &alone, "--revocations"];
    let answer = asked(&node, "replace", &arguments);
    assert_eq!(totals(&answer), [2, 1, 1, 0, 0], "{answer}");
}

#[test]
fn files_are_asked_about_as_if_they_stood_in_their_places() {
    let target = Target::named("hello");
    let node = node(&target, "files", &pki().issuing.crl(&[&[0x22]]));
    let mut good = stays(&node, Some("good"));
    comes_and_goes(&node, "revoked");
    let answer = asked(&node, "remove-revocations", &["seed.crl"]);
    assert_eq!(totals(&answer), [2, 0, 1, 0, 0], "{answer}");
    assert_eq!(answer["changes"][0]["serial_number"], "22");
    let whole = node.path("seed.crl");
    assert_eq!(asked(&node, "remove-revocations", &[text(&whole)])["changes"], answer["changes"]);

    node.write("more.crl", &pki().issuing.crl(&[b"\x03\xa5\xb1"]));
    let answer = asked(&node, "add-revocations", &[text(&node.path("more.crl"))]);
    assert_eq!(totals(&answer), [2, 1, 0, 0, 1], "{answer}");
    assert_eq!(answer["changes"][0]["serial_number"], "03A5B1");

    for (command, argument, word) in [
        ("remove-revocations", "other.crl", "there is no revocation file other.crl"),
        ("remove-revocations", "1", "go by their names"),
        ("add-revocations", &*pki().path("partners.pem"), "not an X509 CRL"),
    ] {
        let said = refused(&node, command, &[argument]);
        assert!(said.contains(word), "{command} {argument}: {said}");
        assert!(!said.contains("(revocation"), "files have no ids: {said}");
    }
    let said = node.trust("remove-revocations", &["--trust-store", "partners", "seed.crl"]).said();
    assert!(said.contains("ids are numbers"), "{said}");
    assert_eq!(good.get("/").status, 200);
}

#[test]
fn a_reload_is_asked_about_and_takes_nothing_over() {
    let target = Target::named("hello");
    let node = node(&target, "files", &pki().issuing.crl(&[]));
    let off = "mutual_authentication: {mode: \"off\"}";
    node.configure(&configuration(&target, "files", off));
    node.reload();
    let mut nobody = [stays(&node, None), stays(&node, None)];
    let answer = asked(&node, "reload", &[]);
    assert_eq!(totals(&answer), [1, 0, 0, 0, 0], "{answer}");

    // The node reloads its own file by itself, so another one is asked about.
    let whole = fs::read_to_string(node.path("portcullis.yaml")).unwrap();
    let next = node.path("next.yaml");
    let next = text(&next);
    node.write("next.yaml", &whole.replace(off, &piece::verify("on_revocation: close")));
    let answer = asked(&node, "reload", &["--candidate", next]);
    assert_eq!(totals(&answer), [1, 1, 0, 0, 2], "{answer}");
    let change = &answer["changes"][0];
    assert_eq!(change["subject"], Value::Null);
    assert_eq!(change["then"]["reason"], "UnmappedConnectionError");
    assert_eq!(change["then"]["in_words"], "no certificate");
    assert_eq!((&change["last_seen"], &change["on_revocation"]), (&Value::Null, &json!("close")));

    let any = "bind: 127.0.0.1:0\n";
    let taken = format!("bind: {}\n", target.address);
    let renamed = whole.replace("name: https", "name: other");
    for (candidate, word) in [
        (whole.replace("mode:", "moda:"), "moda"),
        (whole.replace("edge-1", "edge-2"), "a change here needs a restart"),
        (renamed.replace(any, &taken), "cannot listen on"),
    ] {
        node.write("next.yaml", &candidate);
        let config = node.path("portcullis.yaml");
        let arguments = ["reload", "--config", text(&config), "--dry-run", "--candidate", next];
        let ended = portcullis(&arguments);
        assert_eq!(ended.code, Some(1), "{}", ended.said());
        assert!(ended.stderr.contains(word), "{}", ended.said());
    }
    node.write("next.yaml", &renamed);
    let answer = asked(&node, "reload", &["--candidate", next]);
    assert_eq!(answer["changes"][0]["then"]["verdict"], "no_listener", "{answer}");
    for client in &mut nobody {
        assert_eq!(client.get("/").status, 200);
    }
}

/// Goal: whoever has one certificate is one client. Method: it comes with others along, and after a reload
/// that writes the names of its policy otherwise.
#[test]
fn a_client_is_one_whatever_it_sends_along_and_however_its_policy_is_written() {
    let target = Target::named("hello");
    let node = node(&target, "files", &pki().issuing.crl(&[]));
    let address = node.address("https");
    let at = |names: &str| {
        let policies = format!(
            "{}\nserver_name_policies:\n- {{server_names: [{names}], {}}}",
            piece::verify(""),
            piece::verify("on_revocation: close")
        );
        configuration(&target, "files", &policies)
    };
    let good = || Issued { certificate: pki().read("good.crt"), key: pki().read("good.key") };
    let come = |identity: &Issued| {
        let mut client = Client::tls(address, "open.example.com", &tls_config_with(identity));
        let request = "GET / HTTP/1.1\r\nHost: open.example.com\r\n\r\n";
        assert_eq!(client.ask(request).status, 200);
        client
    };
    let mut clients = Vec::new();
    for names in ["open.example.com, api.example.com", "API.example.com, open.example.com."] {
        node.configure(&at(names));
        node.reload();
        clients.push(come(&good()));
        let mut and_more = good();
        and_more.certificate += &pki().read("stranger.crt");
        clients.push(come(&and_more));
    }
    node.write("more.crl", &pki().issuing.crl(&[GOOD_SERIAL]));
    let answer = asked(&node, "add-revocations", &[text(&node.path("more.crl"))]);
    assert_eq!(totals(&answer), [1, 1, 0, 0, 4], "{answer}");
    assert_eq!(answer["changes"][0]["count"], 4);
    drop(clients);
}

#[test]
fn connections_of_one_client_are_told_apart_by_the_policies_that_would_be() {
    let target = Target::named("hello");
    let node = node(&target, "files", &pki().issuing.crl(&[]));
    let address = node.address("https");
    let names = ["localhost", "open.example.com", "open.example.com"];
    let mut clients = names.map(|name| Client::tls(address, name, &tls_config(Some("good"))));
    for (client, name) in clients.iter_mut().zip(names) {
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
        assert_eq!(client.ask(&request).status, 200, "{name}");
    }
    let filters = "client_certificate_identity_filters: [{subject_cn: [nobody]}]";
    let policies = format!(
        "{}\nserver_name_policies:\n- {{server_names: [\"*.example.com\"], {}}}",
        piece::verify(""),
        piece::verify(filters)
    );
    let whole = fs::read_to_string(node.path("portcullis.yaml")).unwrap();
    let begin = whole.split_once("trust_stores:").unwrap().0;
    let begin = begin.split_once("certificates:").unwrap().0;
    node.write("next.yaml", &(begin.to_owned() + &configuration(&target, "files", &policies)));
    let answer = asked(&node, "reload", &["--candidate", text(&node.path("next.yaml"))]);
    assert_eq!(totals(&answer), [2, 1, 0, 0, 2], "{answer}");
    let change = &answer["changes"][0];
    assert_eq!(change["server_name"], "open.example.com");
    assert_eq!(change["then"]["reason"], "ClientCertRejected");
}
