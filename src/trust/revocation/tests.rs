use super::super::testing::*;
use super::super::{Bundle, Refusal, Store};
use super::*;
use crate::limits;
use rustls_pki_types::alg_id;
use std::collections::HashSet;

const CRL_HIT: Result<(), Refusal> = Err(Refusal::CrlHit);

/// A tree of names for most tests.
struct Pki {
    root: Identity,
    intermediate: Identity,
    client: Identity,
}

impl Pki {
    fn new() -> Self {
        let root = Draft::ca("root").root();
        let intermediate = Draft::ca("intermediate").by(&root);
        let client = Draft::client("client").by(&intermediate);
        Self { root, intermediate, client }
    }

    fn bundle(&self) -> Bundle {
        bundle(&[&self.root, &self.intermediate])
    }

    fn verdict(&self, lists: &[Vec<u8>]) -> Result<(), Refusal> {
        judge(&store(&[&self.root, &self.intermediate], lists), &[&self.client])
    }

    /// What is said of a list of the intermediate's.
    fn fault(&self, list: Vec<u8>) -> String {
        revocations(&[list], &self.bundle()).map(|_| ()).expect_err("a fault").join("\n")
    }
}

/// The failure that this index exists for: rustls-webpki takes the first list of an issuer, so that an
/// empty one hides the other.
#[test]
fn a_revoked_client_is_refused_in_whatever_order_lists_come() {
    let pki = Pki::new();
    let empty = empty_list(&pki.intermediate);
    let naming = list_of(&pki.intermediate, &pki.client);
    assert_eq!(pki.verdict(&[]), Ok(()));
    assert_eq!(pki.verdict(std::slice::from_ref(&empty)), Ok(()));
    assert_eq!(pki.verdict(&[empty.clone(), naming.clone()]), CRL_HIT);
    assert_eq!(pki.verdict(&[naming.clone(), empty.clone()]), CRL_HIT);
    let one_file = format!("# both\n\n{}{}", pem("X509 CRL", &empty), pem("X509 CRL", &naming));
    assert_eq!(pki.verdict(&[one_file.into_bytes()]), CRL_HIT);
}

#[test]
fn a_revoked_intermediate_refuses_its_clients() {
    let pki = Pki::new();
    assert_eq!(pki.verdict(&[list_of(&pki.root, &pki.intermediate)]), CRL_HIT);
    // The root does not speak for what the intermediate issued.
    assert_eq!(pki.verdict(&[list_of(&pki.root, &pki.client)]), Ok(()));
    // An anchor is trusted by the bundle, whatever a list says.
    assert_eq!(pki.verdict(&[list_of(&pki.root, &pki.root)]), Ok(()));
}

#[test]
fn status_and_counts_are_those_of_the_files() {
    let pki = Pki::new();
    let no_end = List { next_update: None, ..List::of(&pki.root) }.revoking(&[7]).revoking(&[7]);
    let lists = [list_of(&pki.intermediate, &pki.client), no_end.by(&pki.root.key)];
    let revocations = revocations(&lists, &pki.bundle()).unwrap();
    assert_eq!(revocations.entries(), 3);
    let told: Vec<_> = revocations
        .status()
        .iter()
        .map(|list| (list.issuer.as_str(), list.entries, list.this_update, list.next_update))
        .collect();
    let since = at(NOW - DAY);
    let expected =
        [("CN=intermediate", 1, since, Some(at(NOW + DAY))), ("CN=root", 2, since, None)];
    assert_eq!(told, expected);
    assert_eq!(revocations.status()[0].file, "test.crl");
}

#[test]
fn a_list_by_either_key_of_a_ca_covers_what_both_issued() {
    let root = Draft::ca("root").root();
    let (old, new) = (Draft::ca("ca").by(&root), Draft::ca("ca").by(&root));
    let clients = [Draft::client("a").by(&old), Draft::client("b").by(&new)];
    for signer in [&old, &new] {
        let list = List::of(signer).revoking(&clients[0].serial).revoking(&clients[1].serial);
        let store = store(&[&root, &old, &new], &[list.by(&signer.key)]);
        for client in &clients {
            assert_eq!(judge(&store, &[client]), CRL_HIT);
        }
    }
}

#[test]
fn equal_names_under_different_anchors_stay_apart() {
    let (first, second) = (Draft::ca("first").root(), Draft::ca("second").root());
    let (ca_1, ca_2) = (Draft::ca("ca").by(&first), Draft::ca("ca").by(&second));
    let client_1 = Draft::client("client").serial(&[9]).by(&ca_1);
    let client_2 = Draft::client("client").serial(&[9]).by(&ca_2);
    let store = store(&[&first, &second, &ca_1, &ca_2], &[list_of(&ca_1, &client_1)]);
    assert_eq!(judge(&store, &[&client_1]), CRL_HIT);
    assert_eq!(judge(&store, &[&client_2]), Ok(()));

    let (root_1, root_2) = (Draft::ca("root").root(), Draft::ca("root").root());
    let client_1 = Draft::client("client").serial(&[9]).by(&root_1);
    let client_2 = Draft::client("client").serial(&[9]).by(&root_2);
    let store = super::super::testing::store(&[&root_1, &root_2], &[list_of(&root_2, &client_2)]);
    assert_eq!(judge(&store, &[&client_1]), Ok(()));
    assert_eq!(judge(&store, &[&client_2]), CRL_HIT);
}

/// Goal: a client cannot choose a path that its issuer's list does not cover. Method: the bundle knows
/// the issuer under one root only, and the client sends the cross-certificate to another root.
#[test]
fn a_cross_certificate_does_not_step_round_the_issuers_own_list() {
    let (first, second) = (Draft::ca("first").root(), Draft::ca("second").root());
    let key = Key::p256();
    let known = Draft::ca("crossed").key(key.copy()).by(&first);
    let crossed = Draft::ca("crossed").key(key).by(&second);
    let client = Draft::client("client").by(&known);
    let store = store(&[&first, &second, &known], &[list_of(&known, &client)]);
    assert_eq!(judge(&store, &[&client, &crossed]), CRL_HIT);
    let other = Draft::client("other").by(&known);
    assert_eq!(judge(&store, &[&other, &crossed]), Ok(()));
}

#[test]
fn a_stale_or_early_list_keeps_being_enforced() {
    let pki = Pki::new();
    for (this_update, next_update) in [(NOW - 9 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)] {
        let list =
            List { this_update, next_update: Some(next_update), ..List::of(&pki.intermediate) };
        let list = list.revoking(&pki.client.serial).by(&pki.intermediate.key);
        assert_eq!(pki.verdict(&[list]), CRL_HIT);
    }
}

#[test]
fn partitioned_lists_join_the_union() {
    let pki = Pki::new();
    let uri = der(0xa0, &[&der(0xa0, &[&der(0x86, &[b"http://crl.example/1"])])]);
    let points: [&[&[u8]]; 6] = [
        &[&uri],
        &[&uri, &[0x81, 1, 0xff]],
        &[&[0x82, 1, 0xff]],
        &[&[0x83, 2, 0, 0x60]],
        // RUSTSEC-2026-0104: a set of reasons without an octet made webpki panic.
        &[&[0x83, 0]],
        &[&[0x84, 1, 0], &[0x85, 1, 0]],
    ];
    for point in points {
        let list = List::of(&pki.intermediate)
            .revoking(&pki.client.serial)
            .with(extension(28, true, &der(0x30, point)))
            .by(&pki.intermediate.key);
        assert_eq!(pki.verdict(&[empty_list(&pki.intermediate), list]), CRL_HIT, "{point:02x?}");
    }
}

#[test]
fn usual_extensions_and_version_1_are_fine() {
    let pki = Pki::new();
    let with_extensions = List::of(&pki.intermediate)
        .entry(
            &pki.client.serial,
            &[extension(21, false, &[10, 1, 1]), extension(24, false, &time(NOW - DAY))],
        )
        .with(extension(35, false, &[0x30, 0]))
        .with(extension(20, false, &[2, 1, 9]))
        .with(extension(46, false, &[0x30, 0]));
    assert_eq!(pki.verdict(&[with_extensions.by(&pki.intermediate.key)]), CRL_HIT);
    let version_1 = List { version: 1, ..List::of(&pki.intermediate) }.revoking(&pki.client.serial);
    assert_eq!(pki.verdict(&[version_1.by(&pki.intermediate.key)]), CRL_HIT);
}

#[test]
fn lists_that_would_be_enforced_wrongly_are_refused_with_their_reason() {
    let pki = Pki::new();
    let list = || List::of(&pki.intermediate);
    let entry = |extension| list().entry(&[7], &[extension]);
    let point = |field: &[u8]| list().with(extension(28, true, &der(0x30, &[field])));
    for (list, expected) in [
        (list().with(extension(27, true, &[2, 1, 1])), "a delta list"),
        (point(&[0x84, 1, 0xff]), "an indirect list"),
        (point(&[0x85, 1, 0xff]), "a list of attribute certificates"),
        (point(&[0x86, 1, 0xff]), "a field of an issuing distribution point expected"),
        (point(&[0x84, 0]), "a boolean expected"),
        (list().with(extension(99, true, &[5, 0])), "critical extension 2.5.29.99 at byte"),
        (entry(extension(29, true, &[0x30, 0])), "an indirect list"),
        (entry(extension(99, true, &[5, 0])), "critical extension 2.5.29.99 at byte"),
        (entry(extension(21, false, &[10, 1, 8])), "removeFromCRL"),
        (entry(extension(21, false, &[2, 1, 1])), "a reason code expected"),
        (List { version: 1, ..list() }.with(extension(20, false, &[2, 1, 1])), "version 1 list"),
        (
            List { version: 1, ..list() }.entry(&[7], &[extension(21, false, &[10, 1, 1])]),
            "no extensions in a version 1 list",
        ),
        (List { version: 3, ..list() }, "version 1 or 2 expected"),
        (list().revoking(&[]), "a serial number expected"),
        (List { entries: vec![vec![5, 0]], ..list() }, "a revoked certificate expected"),
        (
            List { entries: vec![vec![0x30, 5, 2, 1, 7, 5, 0]], ..list() },
            "a revocation date expected",
        ),
        (
            List { entries: vec![vec![0x30, 0x80, 0, 0]], ..list() },
            "a revoked certificate expected",
        ),
    ] {
        let fault = pki.fault(list.by(&pki.intermediate.key));
        assert!(fault.contains(expected), "{fault}\n{expected}");
    }
}

#[test]
fn the_signer_must_be_known_allowed_and_right() {
    let pki = Pki::new();
    let stranger = Draft::ca("stranger").root();
    let impostor = Draft::ca("intermediate").root();
    let sha1 = rustls_pki_types::AlgorithmIdentifier::from_slice(&[
        6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 5, 5, 0,
    ]);
    let weak = Key::generated(&rcgen::PKCS_RSA_SHA256, sha1);
    for (list, expected) in [
        (empty_list(&stranger), "the list of CN=stranger: its issuer is not in the CA bundle"),
        (empty_list(&impostor), "the list of CN=intermediate: its signature is wrong, or by a key"),
        (List::of(&pki.intermediate).by(&weak), "its signature algorithm is not supported"),
    ] {
        let fault = pki.fault(list);
        assert!(fault.contains(expected), "{fault}\n{expected}");
    }
    for (bits, is_good) in [(0x04, false), (0x06, true)] {
        let ca = Draft::ca("ca").with(key_usage(bits)).root();
        let loaded = revocations(&[empty_list(&ca)], &bundle(&[&ca]));
        match loaded {
            Ok(_) => assert!(is_good),
            Err(faults) => assert!(!is_good && faults[0].contains("without cRLSign"), "{faults:?}"),
        }
    }
    let rsa = Key::generated(&rcgen::PKCS_RSA_SHA256, alg_id::RSA_PKCS1_SHA256);
    let ca = Draft::ca("rsa").key(rsa).root();
    assert!(revocations(&[empty_list(&ca)], &bundle(&[&ca])).is_ok());
}

#[test]
fn files_that_are_no_lists_are_clear_faults_and_all_are_told() {
    let pki = Pki::new();
    let good = list_of(&pki.intermediate, &pki.client);
    let text = pem("X509 CRL", &good);
    let long = vec![0; limits::REVOCATION_FILE_BYTES_MAX + 1];
    let flipped = {
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        flipped
    };
    let files = [
        Vec::new(),
        b"nothing\n".to_vec(),
        [&good[..], &[0]].concat(),
        good[..good.len() - 1].to_vec(),
        text.replace("X509 CRL", "CERTIFICATE").into_bytes(),
        format!("{text}{}", &text[..40]).into_bytes(),
        good.clone(),
        flipped,
        long,
    ];
    let files: Vec<_> = files.iter().map(|bytes| File { name: "f", bytes }).collect();
    let faults = Revocations::load(&files, &pki.bundle()).map(|_| ()).unwrap_err();
    let expected = [
        (0, "the file is empty"),
        (1, "the file holds no revocation list, neither PEM nor DER"),
        (2, "the end of the revocation list expected"),
        (3, "malformed at byte 0: a revocation list expected"),
        (4, "block 1, line 1: CERTIFICATE, not an X509 CRL"),
        (5, "block 2, line "),
        (7, "the list of CN=intermediate: its signature is wrong"),
        (8, "are allowed"),
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    for (fault, (file_index, message)) in faults.iter().zip(expected) {
        assert_eq!(fault.file_index, file_index, "{fault:?}");
        assert!(fault.message.contains(message), "{fault:?}");
    }
}

#[test]
fn serial_numbers_of_every_shape_are_enforced() {
    let root = Draft::ca("root").root();
    let longest = [&[0x7f][..], &[0xab; 19]].concat();
    let too_long = [&[0, 0xff][..], &[0xab; 30]].concat();
    let serials: [&[u8]; 6] = [&[0], &[1], &[0, 0x80], &[0x80], &longest, &too_long];
    for revoked in serials {
        let store = store(&[&root], &[List::of(&root).revoking(revoked).by(&root.key)]);
        for serial in serials {
            let client = Draft::client("client").serial(serial).by(&root);
            let expected = if serial == revoked { CRL_HIT } else { Ok(()) };
            assert_eq!(judge(&store, &[&client]), expected, "{serial:02x?} of {revoked:02x?}");
        }
    }
}

/// Goal: the index finds what was listed, with its reason, and nothing else. Method: 100,000 random
/// serials of 20 bytes in two files, PEM and DER, against a set.
#[test]
fn a_large_list_agrees_with_a_set() {
    const COUNT: usize = 100_000;
    let seed = u64::from_be_bytes(random());
    println!("seed {seed}");
    let mut numbers = Numbers(seed);
    let root = Draft::ca("root").root();
    let mut lists = [List::of(&root), List::of(&root)];
    let mut model = HashSet::new();
    for index in 0..COUNT {
        let serial = numbers.serial();
        let list = &mut lists[index % 2];
        let reason = extension(21, false, &[10, 1, 1]);
        list.entries.push(der(0x30, &[&der(2, &[&serial]), &time(NOW), &der(0x30, &[&reason])]));
        model.insert(serial);
    }
    let [first, second] = lists.map(|list| list.by(&root.key));
    let bundle = bundle(&[&root]);
    let files = [pem("X509 CRL", &first).into_bytes(), second];
    let revocations = revocations(&files, &bundle).unwrap();
    assert_eq!(revocations.entries(), COUNT);
    let scopes: Vec<_> = revocations.by_issuer.values().flatten().collect();
    assert_eq!(scopes.len(), 1);
    let find = |serial: &[u8]| scopes[0].serials.find(serial);
    for serial in &model {
        assert_eq!(find(serial), Some(1));
        let mut near = *serial;
        near[19] ^= 1;
        assert_eq!(find(&near).is_some(), model.contains(&near));
    }
    for _ in 0..10_000 {
        let serial = numbers.serial();
        assert_eq!(find(&serial).is_some(), model.contains(&serial));
    }
}

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Twenty octets, positive and in shortest form.
    fn serial(&mut self) -> [u8; 20] {
        let mut serial = [0; 20];
        for chunk in serial.chunks_mut(8) {
            let octets = self.next().to_be_bytes();
            chunk.copy_from_slice(&octets[..chunk.len()]);
        }
        serial[0] = serial[0] & 0x3f | 0x40;
        serial
    }
}

/// Goal: no bytes make the reader panic, and none of a signed list goes unnoticed. Method: every prefix
/// and every bit of a list with everything in it.
#[test]
fn cut_and_flipped_lists_are_refused() {
    let root = Draft::ca("root").root();
    let bundle = bundle(&[&root]);
    let list = List::of(&root)
        .entry(&[7], &[extension(21, false, &[10, 1, 1])])
        .with(extension(28, true, &der(0x30, &[&[0x83, 2, 0, 0x60]])))
        .by(&root.key);
    assert!(revocations(std::slice::from_ref(&list), &bundle).is_ok());
    for length in 0..list.len() {
        assert!(revocations(&[list[..length].to_vec()], &bundle).is_err(), "{length}");
    }
    for bit in 0..list.len() * 8 {
        let mut flipped = list.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(revocations(&[flipped], &bundle).is_err(), "bit {bit}");
    }
}

#[test]
fn a_store_without_lists_checks_nothing() {
    let pki = Pki::new();
    let bundle = pki.bundle();
    let (revocations, rules) = (Revocations::default(), Rules::default());
    let store = Store { name: "bare".into(), bundle, revocations, rules };
    assert_eq!(judge(&store, &[&pki.client]), Ok(()));
    assert_eq!(store.revocations.entries(), 0);
}

#[test]
fn a_file_of_broken_blocks_has_a_bounded_answer() {
    let root = Draft::ca("root").root();
    let bytes = b"-----BEGIN X509 CRL-----\nAAAA\n".repeat(2 * limits::FAULTS_MAX);
    let files = [File { name: "broken.crl", bytes: &bytes }];
    let faults = Revocations::load(&files, &bundle(&[&root])).unwrap_err();
    assert_eq!(faults.len(), limits::FAULTS_MAX + 1);
}
