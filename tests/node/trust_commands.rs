//! `portcullis trust`: trust stores that commands change, what becomes of clients, and what outlives
//! the process.
use crate::support::node::{Setup, named, piece};
use crate::support::tools::{Ended, Identity, Tls, curl_https, curl_was_refused};
use crate::support::{Node, Target, pki, wait};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The files that seed trust store `partners` lie beside the configuration; nobody is revoked yet.
fn node(target: &Target) -> Node {
    let (bundle, empty) = (pki().read("partners.pem"), pki().issuing.crl(&[]));
    let files = [("partners.pem", bundle.as_str()), ("seed.crl", &empty)];
    Node::with_files(setup(), &configuration(target), &files)
}

fn setup() -> Setup {
    Setup { shards: 2, node: ", state_dir: state", ..Setup::default() }
}

fn configuration(target: &Target) -> String {
    [
        piece::certificates(),
        "trust_stores:\n  - {name: partners, source: api, ca_certificates_bundle: partners.pem, \
         revocations: [seed.crl]}\n"
            .to_owned(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", &piece::verify("")),
    ]
    .concat()
}

/// `portcullis trust COMMAND --trust-store partners ARGUMENTS`.
fn trust(node: &Node, command: &str, arguments: &[&str]) -> Ended {
    let store: &[&str] = if command == "status" { &[] } else { &["--trust-store", "partners"] };
    node.trust(command, &[store, arguments].concat())
}

/// A command that must be acknowledged; its answer.
fn done(node: &Node, command: &str, arguments: &[&str]) -> Value {
    let ended = trust(node, command, &[arguments, &["--json"]].concat()).success();
    serde_json::from_str(&ended.stdout).expect("the answer is JSON")
}

/// A command that must be refused; what it says.
fn refused(node: &Node, command: &str, arguments: &[&str]) -> String {
    let ended = trust(node, command, arguments);
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    ended.stderr
}

fn status(node: &Node) -> Value {
    let status = done(node, "status", &[]);
    named(&status["trust_stores"], "partners").clone()
}

/// The ids of the revocation files.
fn ids(node: &Node) -> Vec<u64> {
    let status = status(node);
    let lists = status["revocations"].as_array().unwrap();
    lists.iter().map(|list| list["revocation_id"].as_u64().unwrap()).collect()
}

/// A file beside the configuration that holds a list of the issuing CA.
fn list(node: &Node, name: &str, serials: &[&[u8]]) -> String {
    node.write(name, &pki().issuing.crl(serials));
    path(node, name)
}

fn path(node: &Node, name: &str) -> String {
    node.path(name).to_str().unwrap().to_owned()
}

fn gets_in(node: &Node, client: &'static str) -> bool {
    let ended =
        curl_https(node.address("https"), "localhost", Identity::Pem(client), Tls::V13, &[]);
    assert!(ended.code == Some(0) || curl_was_refused(&ended), "{}", ended.said());
    ended.code == Some(0)
}

fn state_file(node: &Node) -> PathBuf {
    node.path("state/trust_stores/partners.state")
}

#[test]
fn a_client_is_revoked_by_the_next_handshake_and_after_a_restart_until_its_list_is_removed() {
    let target = Target::named("hello");
    let mut node = node(&target);
    assert!(gets_in(&node, "revoked"), "not yet");
    assert_eq!(ids(&node), [1], "the seed's");
    let naming = list(&node, "naming.crl", &[&[0x22]]);
    let generation = node.generation();
    let added = done(&node, "add-revocations", &[&naming]);
    assert_eq!(added["new_revocation_ids"], serde_json::json!([2]), "{added}");
    assert_eq!(added["generation"], generation + 1, "{added}");
    assert_eq!(added["trust_store"]["total_revoked_entries"], 1, "{added}");
    assert!(!gets_in(&node, "revoked"));
    assert!(gets_in(&node, "good"));

    node.restart();
    assert_eq!(ids(&node), [1, 2]);
    assert!(!gets_in(&node, "revoked"));
    assert!(gets_in(&node, "good"));

    done(&node, "remove-revocations", &["2"]);
    assert!(gets_in(&node, "revoked"));
    // An id is never used again, not even after a restart.
    node.restart();
    let added = done(&node, "add-revocations", &[&naming, &naming]);
    assert_eq!(added["new_revocation_ids"], serde_json::json!([3, 4]), "{added}");
    assert_eq!(ids(&node), [1, 3, 4]);
    node.assert_no_panic();
}

#[test]
fn a_bundle_is_replaced_with_or_without_the_lists() {
    let target = Target::named("hello");
    let node = node(&target);
    let naming = list(&node, "naming.crl", &[&[0x22]]);
    done(&node, "add-revocations", &[&naming]);
    node.write("both.pem", &(pki().read("partners.pem") + &pki().read("stranger.crt")));
    let both = path(&node, "both.pem");
    assert!(!gets_in(&node, "untrusted"));
    done(&node, "replace", &["--ca-certificates-bundle", &both]);
    assert!(gets_in(&node, "untrusted"));
    assert!(!gets_in(&node, "revoked"), "the present lists stay");
    assert_eq!(ids(&node), [1, 2]);

    // The present lists must be good under the new bundle, and all that are not are named.
    let stranger = pki().path("stranger.crt");
    let said = refused(&node, "replace", &["--ca-certificates-bundle", &stranger]);
    for word in ["2 faults", "seed.crl (revocation 1): ", "naming.crl (revocation 2): "] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let lists = ["--ca-certificates-bundle", &both, "--revocations", &naming];
    let replaced = done(&node, "replace", &lists);
    assert_eq!(replaced["new_revocation_ids"], serde_json::json!([3]), "{replaced}");
    assert_eq!(ids(&node), [3]);
    let replaced =
        done(&node, "replace", &["--ca-certificates-bundle", &stranger, "--revocations"]);
    assert_eq!(replaced["trust_store"]["revocations"], serde_json::json!([]), "{replaced}");
    assert!(!gets_in(&node, "good"));
    assert!(gets_in(&node, "untrusted"));
}

#[test]
fn a_command_with_faults_tells_all_of_them_and_changes_nothing() {
    let target = Target::named("hello");
    let mut node = node(&target);
    let naming = list(&node, "naming.crl", &[&[0x22]]);
    node.write("stranger.crl", &pki().stranger.crl(&[]));
    node.write("nonsense.crl", "nonsense");
    let (stranger, nonsense) = (path(&node, "stranger.crl"), path(&node, "nonsense.crl"));
    let (before, generation) = (fs::read(state_file(&node)).unwrap(), node.generation());

    let said = refused(&node, "add-revocations", &[&naming, &stranger, &nonsense]);
    for word in ["2 faults", "/stranger.crl", "not in the CA bundle", "/nonsense.crl"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let said = refused(&node, "remove-revocations", &["1", "7", "8"]);
    assert!(said.contains("the id 7") && said.contains("the id 8"), "{said}");
    let said = refused(&node, "replace", &["--ca-certificates-bundle", &nonsense]);
    assert!(said.contains("/nonsense.crl: "), "{said}");
    let said = refused(&node, "add-revocations", &["/missing", "/absent"]);
    assert!(said.contains("/missing: ") && said.contains("/absent: "), "{said}");
    let other = ["--trust-store", "partner", naming.as_str()];
    let ended = node.trust("add-revocations", &other);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("did you mean partners?"), "{}", ended.said());
    let ended = node.trust("add-revocations", &["--trust-store", "partners"]);
    assert_eq!(ended.code, Some(2), "{}", ended.said());

    assert_eq!(node.generation(), generation);
    assert_eq!(fs::read(state_file(&node)).unwrap(), before);
    assert!(gets_in(&node, "revoked"));
    node.restart();
    assert_eq!(ids(&node), [1]);
    assert!(gets_in(&node, "revoked"));
}

#[test]
fn a_trust_store_of_files_names_the_files_to_change_instead() {
    let target = Target::named("hello");
    let configuration = configuration(&target).replace("source: api", "source: files");
    let (bundle, empty) = (pki().read("partners.pem"), pki().issuing.crl(&[]));
    let files = [("partners.pem", bundle.as_str()), ("seed.crl", &empty)];
    let node = Node::with_files(Setup::default(), &configuration, &files);
    let seed = path(&node, "seed.crl");
    let bundle = path(&node, "partners.pem");
    for (command, arguments) in [
        ("add-revocations", vec![seed.as_str()]),
        ("remove-revocations", vec!["1"]),
        ("replace", vec!["--ca-certificates-bundle", bundle.as_str()]),
    ] {
        let said = refused(&node, command, &arguments);
        for word in ["trust_stores[0].source", &seed, &bundle] {
            assert!(said.contains(word), "{command}, {word}: {said}");
        }
    }
    let status = status(&node);
    assert_eq!(status["source"], "files");
    assert!(status["revocations"][0].get("revocation_id").is_none(), "{status}");
    assert_eq!(status["revocations"][0]["file"], "seed.crl");
}

#[test]
fn the_status_tells_each_list_in_words_and_as_json() {
    let target = Target::named("hello");
    let node = node(&target);
    let naming = list(&node, "naming.crl", &[&[0x22], &[0x23]]);
    done(&node, "add-revocations", &[&naming]);
    let status = status(&node);
    let issuer = "CN=Portcullis Tests Issuing,O=Example,ST=Oslo,C=NO";
    let list = |id: u64, file: &str, entries: u64| {
        serde_json::json!({
            "revocation_id": id, "file": file, "issuer": issuer,
            "number_of_revoked_entries": entries,
            "this_update": "2025-01-01T00:00:00Z", "next_update": "2080-01-01T00:00:00Z",
        })
    };
    let expected = serde_json::json!({
        "name": "partners", "source": "api", "number_of_ca_certificates": 2,
        "earliest_ca_expiry": "2085-01-02T00:00:00Z", "total_revoked_entries": 2,
        "revocations": [list(1, "seed.crl", 0), list(2, &naming, 2)],
    });
    assert_eq!(status, expected);
    let words = trust(&node, "status", &["--trust-store", "partners"]).success().stdout;
    for line in [
        &format!("generation {}", node.generation()),
        "partners: source api; 2 CA certificates, the first expires at 2085-01-02T00:00:00Z; \
         2 revoked entries",
        &format!(
            "  revocation 2, {naming}: 2 entries of {issuer}, of 2025-01-01T00:00:00Z, next \
             update 2080-01-01T00:00:00Z"
        ),
    ] {
        assert!(words.lines().any(|other| other == line), "{line}: {words}");
    }
    assert!(refused(&node, "status", &["--trust-store", "x"]).contains("no trust store x"));
}

#[test]
fn the_files_seed_a_trust_store_once_and_are_not_followed() {
    let target = Target::named("hello");
    let mut node = node(&target);
    assert!(gets_in(&node, "revoked"));
    let generation = node.generation();
    node.write("seed.crl", &pki().issuing.crl(&[&[0x22]]));
    node.write("partners.pem", "no bundle");
    // Another file that is watched is looked at after these.
    node.configure(&(configuration(&target) + &piece::http("new", "")));
    wait::until("the new listener", || {
        (!named(&node.status()["listeners"], "new").is_null()).then_some(())
    });
    assert_eq!(node.generation(), generation + 1);
    assert!(gets_in(&node, "revoked"), "the files say otherwise, and are not read");
    node.reload();
    node.restart();
    assert!(gets_in(&node, "revoked"));
    // Nor need they be there, or be named.
    fs::remove_file(node.path("seed.crl")).unwrap();
    let bare = configuration(&target)
        .replace(", ca_certificates_bundle: partners.pem, revocations: [seed.crl]", "");
    node.configure(&bare);
    node.reload();
    node.restart();
    assert_eq!(ids(&node), [1]);
    assert!(gets_in(&node, "good"));
}

#[test]
fn commands_work_while_the_configuration_has_faults_and_do_not_take_it_over() {
    let target = Target::named("hello");
    let node = node(&target);
    node.configure("listeners: [{colour: red}]");
    assert!(node.reload_refused().contains("colour"));
    let naming = list(&node, "naming.crl", &[&[0x22]]);
    done(&node, "add-revocations", &[&naming]);
    assert!(!gets_in(&node, "revoked"));
    assert!(gets_in(&node, "good"));
}

#[test]
fn what_is_kept_is_for_the_nodes_user_alone_and_for_one_node() {
    let target = Target::named("hello");
    let node = node(&target);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(node.path("state")), 0o700);
    assert_eq!(mode(node.path("state/trust_stores")), 0o700);
    assert_eq!(mode(state_file(&node)), 0o600);
    let said = node.refused_start();
    assert!(said.contains("node.state_dir: "), "{said}");
    let holder = format!("is held by the node edge-1, process {}", node.id());
    assert!(said.contains(&holder), "{holder}: {said}");
}

#[test]
fn a_damaged_state_is_a_fault_at_start_and_stays_as_it_is() {
    let target = Target::named("hello");
    let mut node = node(&target);
    node.stop();
    let whole = fs::read(state_file(&node)).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..whole.len() / 2], &flipped, b"something else"] {
        fs::write(state_file(&node), damaged).unwrap();
        let said = node.refused_start();
        assert!(said.contains("trust_stores[0].source: "), "{said}");
        assert!(said.contains("partners.state: "), "{said}");
        assert_eq!(fs::read(state_file(&node)).unwrap(), damaged);
    }
    // What was being written when the process was killed is none of this, and goes.
    fs::write(state_file(&node), &whole).unwrap();
    let leftover = node.path("state/trust_stores/partners.state.new");
    fs::write(&leftover, &whole[..100]).unwrap();
    node.start_again();
    assert!(!leftover.exists());
    assert_eq!(ids(&node), [1]);
    node.signal(Signal::TERM);
    assert!(node.ended().success());
}
