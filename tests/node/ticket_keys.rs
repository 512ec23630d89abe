//! The keys of session tickets: who shares them shares sessions.
use crate::support::comer::{Comer, WAYS};
use crate::support::node::{Setup, piece};
use crate::support::{Node, Target, wait};
use crate::tickets::{BOUND, bound, resumptions, store, whole};
use rustls::HandshakeKind;

/// Goal: nodes that share keys share sessions, and nothing else: each judges by its own trust.
#[test]
fn a_session_survives_a_restart_by_shared_keys_alone() {
    let target = Target::named("hello");
    let key = |seed: u8| -> String {
        // Readable, because files are written as text, and random enough for a key.
        (0..80).map(|at: u8| char::from(33 + at.wrapping_mul(31).wrapping_add(seed) % 94)).collect()
    };
    let (old, new) = (key(1), key(7));
    let files = [("old.key", old.as_str()), ("new.key", new.as_str())];
    let with = |keys: &str, configuration: &str| {
        let keys = format!("session_tickets: {{keys: [{keys}]}}\n");
        Node::with_files(Setup::default(), &(keys + configuration), &files)
    };
    let before = store("partners", "partners.pem", "empty.crl", "");
    let before = whole(&target, &before, &[("https", piece::verify(BOUND))]);
    let node = with("old.key", &before);
    let settled = |identity| {
        let comers = Comer::all(Some(identity));
        comers.iter().for_each(|comer| comer.settle(node.address("https"), "localhost"));
        comers
    };
    let visit = |node: &Node, comers: &[Comer]| -> Vec<_> {
        comers.iter().map(|comer| comer.visit(node.address("https"), "localhost")).collect()
    };
    let full = Some(HandshakeKind::Full);
    let resumed: Vec<_> = WAYS.iter().map(|way| Some(way.resumed())).collect();

    let again = with("\"new.key\", \"old.key\"", &before);
    assert_eq!(visit(&again, &settled("good")), resumed);
    let revoking = with("old.key", &bound(&target));
    assert_eq!(visit(&revoking, &settled("good")), resumed);
    assert_eq!(visit(&revoking, &settled("revoked")), [None; 3], "it is revoked there");
    let elsewhere = before.replace("name: https", "name: other");
    let other = with("old.key", &elsewhere);
    let comers = settled("good");
    for comer in &comers {
        assert_eq!(comer.visit(other.address("other"), "localhost"), full, "{:?}", comer.way);
    }
    for keys in ["", "new.key"] {
        assert_eq!(visit(&with(keys, &before), &settled("good")), [full; 3], "keys: {keys}");
    }

    // Keys are replaced while the node runs, like certificates.
    let comers = settled("good");
    let generation = node.generation();
    node.write("old.key", &new);
    wait::until("the key to be read", || (node.generation() > generation).then_some(()));
    assert_eq!(visit(&node, &comers), [full; 3]);
    assert_eq!(resumptions(&node, "unknown_key"), 2.0);
    node.configure(&format!(
        "session_tickets: {{keys: [old.key, new.key, missing.key]}}\n{before}"
    ));
    let said = node.reload_refused();
    assert!(
        said.contains("session_tickets.keys[1]: ") && said.contains("in the list already"),
        "{said}"
    );
    assert!(said.contains("session_tickets.keys[2]: "), "{said}");
    assert_eq!(visit(&node, &comers), resumed, "the old generation serves on");
}
