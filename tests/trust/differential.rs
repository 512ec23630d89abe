//! OpenSSL as the oracle of chains that nobody thought of.
//!
//! OpenSSL builds one path and judges that; so it is asked for each path of a PKI, with nothing but that
//! path's certificates, and accepts the client when it accepts one. Where it refuses, we must refuse.
//! Where it accepts and we refuse, the PKI must have something that we are known to be stricter about.
use crate::generated::{self, NOW, Pki};
use crate::{is_long, seed};
use portcullis::trust::revocation::File;
use portcullis::trust::{
    Bundle, Conditions, Refusal, Revocations, Rules, StaleRevocations, Store, UnlistedIssuers,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const INTERMEDIATES_MAX: usize = 4;

#[test]
fn no_client_is_accepted_that_openssl_refuses() {
    let (count, first) = (if is_long() { 5_000 } else { 300 }, seed());
    println!("PKIs {first} to {}", first.wrapping_add(count - 1));
    let keys = generated::keys();
    let directory = std::env::temp_dir().join(format!("portcullis-trust-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let (mut counts, mut wrong) = (BTreeMap::new(), Vec::new());
    for seed in (0..count).map(|index| first.wrapping_add(index)) {
        let pki = Pki::generate(seed, &keys);
        let word = match (verdict(&pki), openssl(&pki, &directory)) {
            (Ok(()), Ok(_)) => "accepted by both",
            (Err(_), Err(_)) => "refused by both",
            (Ok(()), Err(said)) => {
                wrong.push(format!("PKI {seed}: accepted, and OpenSSL refused it: {said}"));
                "accepted by us alone"
            }
            (Err(refusal), Ok(intermediates)) => {
                if intermediates <= INTERMEDIATES_MAX && pki.stricter.is_empty() {
                    wrong.push(format!("PKI {seed}: {refusal:?}, and OpenSSL accepts it"));
                }
                "refused by us alone"
            }
        };
        *counts.entry(word).or_insert(0_u64) += 1;
    }
    fs::remove_dir_all(&directory).unwrap();
    println!("{counts:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The test means something only while both happen often.
    for word in ["accepted by both", "refused by both"] {
        assert!(counts.get(word).is_some_and(|times| times * 5 > count), "{counts:?}");
    }
}

/// What of the PKI can be loaded makes the store; the client sends all of it.
fn verdict(pki: &Pki) -> Result<(), Refusal> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let load = |text: &str| match Bundle::from_pem(text.as_bytes(), now) {
        Ok((bundle, _)) if bundle.partial_anchors().is_empty() => Some(bundle),
        _ => None,
    };
    let mut text = String::new();
    for ca in &pki.cas {
        let larger = format!("{text}{}", ca.pem);
        if load(&larger).is_some() {
            text = larger;
        }
    }
    // A PKI whose every root is bad has no store, and no clients.
    let Some(bundle) = load(&text) else { return Err(Refusal::Untrusted) };
    let file = |der| File { name: "list", bytes: der };
    let files: Vec<_> = pki
        .lists
        .iter()
        .map(|list| file(&list.der[..]))
        .filter(|file| Revocations::load(std::slice::from_ref(file), &bundle).is_ok())
        .collect();
    let revocations = Revocations::load(&files, &bundle).unwrap();
    let rules = Rules {
        stale_revocations: StaleRevocations::Refuse,
        unlisted_issuers: UnlistedIssuers::Refuse,
    };
    let store = Store { name: "generated".into(), bundle, revocations, rules };
    let certificates = [&pki.leaf].into_iter().chain(pki.cas.iter().take(8));
    let chain: Vec<CertificateDer<'_>> =
        certificates.map(|certificate| certificate.der.clone()).collect();
    store.judge(&chain, &Conditions::default(), now).map(|_| ())
}

/// The intermediates of the shortest path that OpenSSL accepts, or what it said of each.
fn openssl(pki: &Pki, directory: &Path) -> Result<usize, String> {
    let path = |name: &str| directory.join(name);
    let lists: String = pki.lists.iter().map(|list| list.pem.as_str()).collect();
    fs::write(path("leaf"), &pki.leaf.pem).unwrap();
    fs::write(path("lists"), &lists).unwrap();
    let mut paths = pki.paths();
    paths.sort_by_key(Vec::len);
    let mut said = String::new();
    for positions in paths {
        let (anchor, intermediates) = positions.split_last().unwrap();
        let text: String =
            intermediates.iter().map(|&position| pki.cas[position].pem.as_str()).collect();
        fs::write(path("anchor"), &pki.cas[*anchor].pem).unwrap();
        fs::write(path("intermediates"), &text).unwrap();
        let mut command = Command::new("/usr/bin/openssl");
        command.args(["verify", "-no-CApath", "-no-CAstore", "-purpose", "sslclient"]);
        command
            .args(["-crl_check_all", "-attime", &NOW.to_string(), "-CAfile"])
            .arg(path("anchor"));
        if !lists.is_empty() {
            command.arg("-CRLfile").arg(path("lists"));
        }
        if !text.is_empty() {
            command.arg("-untrusted").arg(path("intermediates"));
        }
        let output = command.arg(path("leaf")).output().expect("tests/run installs openssl");
        if output.status.success() {
            return Ok(intermediates.len());
        }
        let reason = String::from_utf8_lossy(&output.stderr);
        assert!(reason.contains("error ") && reason.contains("depth lookup"), "{reason}");
        let _ = writeln!(said, "of the path {positions:?}: {reason}");
    }
    Err(said)
}
