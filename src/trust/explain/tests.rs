use super::super::filter::{Field, Filter};
use super::super::testing::List;
use super::super::testing::*;
use super::super::{Accepted, Filters, verdict};
use super::entry::Again;
use super::*;
use crate::limits;

fn explain(store: &Store, sent: &[&Identity]) -> (Result<Accepted, Refusal>, Told) {
    let mut told = Told::default();
    let verdict = store.explain(&chain(sent), &Conditions::default(), at(NOW), &mut told);
    (verdict, told)
}

#[test]
fn an_accepted_client_is_told_with_its_whole_path() {
    let root = Draft::ca("root").root();
    let ca = Draft::ca("issuing").by(&root);
    let client = Draft::client("client").serial(&[0x17]).by(&ca);
    let store = store(&[&root], &[empty_list(&root)]);
    let (verdict, told) = explain(&store, &[&client, &ca]);
    assert!(verdict.is_ok());
    let [path] = told.paths.as_slice() else { panic!("{told:?}") };
    assert_eq!(path.refusal, None);
    let seen: Vec<_> = path
        .certificates
        .iter()
        .map(|seen| (seen.subject.as_str(), seen.is_sent, seen.is_in_bundle, seen.lists.len()))
        .collect();
    let expected = [
        ("CN=client", true, false, 0),
        ("CN=issuing", true, false, 1),
        ("CN=root", false, true, 0),
    ];
    assert_eq!(seen, expected);
    assert_eq!(path.certificates[0].serial_number, "17");
    assert_eq!(path.certificates[0].key, "ECDSA P-256");
    assert!(path.certificates.iter().all(|seen| seen.remarks.is_empty()), "{told:?}");
    assert!(told.instants.contains(&at(NOW + 10 * DAY + 1)), "the end of a validity");
    assert!(told.instants.contains(&at(NOW + DAY + 1)), "the end of a list");
}

#[test]
fn a_revoked_certificate_is_told_with_its_reason_and_its_list() {
    let root = Draft::ca("root").root();
    let client = Draft::client("client").by(&root);
    let reason = extension(21, false, &[0x0a, 1, 1]);
    let list = List::of(&root).entry(&client.serial, &[reason]).by(&root.key);
    let (verdict, told) = explain(&store(&[&root], &[list]), &[&client]);
    assert_eq!(verdict.unwrap_err(), Refusal::CrlHit);
    let leaf = &told.paths[0].certificates[0];
    assert_eq!(leaf.revoked, Some("keyCompromise"));
    assert_eq!((leaf.lists[0].file.as_str(), leaf.lists[0].entries), ("test.crl", 1));
    assert_eq!(leaf.lists[0].this_update, rfc3339(at(NOW - DAY)));
}

#[test]
fn what_speaks_against_a_certificate_stands_beside_it() {
    let root = Draft::ca("root").root();
    let store = store(&[&root], &[]);
    let expired = Draft::client("client").valid(NOW - 2 * DAY, NOW - DAY).by(&root);
    let later = Draft::client("client").valid(NOW + DAY, NOW + 2 * DAY).by(&root);
    let purpose = [0x2b, 6, 1, 5, 5, 7, 3, 1];
    let server = Draft::client("client").with(extended_key_usage(&[&purpose])).by(&root);
    let usage = Draft::client("client").with(key_usage(0x20)).by(&root);
    let ca = Draft::ca("client").by(&root);
    for (client, refusal, remark) in [
        (&expired, Refusal::Expired, "expired"),
        (&later, Refusal::NotYetValid, "not yet valid"),
        (&server, Refusal::PurposeInvalid, "does not allow client authentication"),
        (&usage, Refusal::PurposeInvalid, "neither digitalSignature nor keyAgreement"),
        (&ca, Refusal::PurposeInvalid, "a CA, which cannot be a client"),
    ] {
        let (verdict, told) = explain(&store, &[client]);
        assert_eq!(verdict.unwrap_err(), refusal);
        let remarks = told.paths[0].certificates[0].remarks.join("\n");
        assert!(remarks.contains(remark), "{remark}: {told:?}");
        assert_eq!(told.paths[0].refusal, Some(refusal.code()));
    }
}

#[test]
fn a_path_that_leads_nowhere_says_where_it_ends() {
    let root = Draft::ca("root").root();
    let twin = Draft::ca("root").root();
    let ca = Draft::ca("issuing").by(&root);
    let client = Draft::client("client").by(&ca);
    let end = |told: &Told| told.dead_ends.join("\n");
    let trusting = store(&[&root], &[]);
    let (verdict, told) = explain(&trusting, &[&client]);
    assert_eq!(verdict.unwrap_err(), Refusal::Untrusted);
    assert!(end(&told).contains("CN=client was issued by CN=issuing, and neither"), "{told:?}");
    let (verdict, told) = explain(&store(&[&twin], &[]), &[&client, &ca]);
    assert_eq!(verdict.unwrap_err(), Refusal::Invalid);
    assert!(end(&told).contains("its key did not sign it"), "{told:?}");

    let mut authorities = vec![Draft::ca("root").root()];
    for depth in 1..=limits::INTERMEDIATES_MAX + 1 {
        let ca = Draft::ca(&format!("CA {depth}")).by(&authorities[depth - 1]);
        authorities.push(ca);
    }
    let client = Draft::client("client").by(authorities.last().unwrap());
    let sent: Vec<_> = [&client].into_iter().chain(authorities[1..].iter().rev()).collect();
    let (verdict, told) = explain(&store(&[&authorities[0]], &[]), &sent);
    assert_eq!(verdict.unwrap_err(), Refusal::MaxChainDepthExceeded);
    assert!(end(&told).contains("one CA too many"), "{told:?}");
}

#[test]
fn what_the_library_says_is_passed_on() {
    let root = Draft::ca("root").root();
    let ca = Draft::client("issuing").with(basic_constraints(false, None)).by(&root);
    let client = Draft::client("client").by(&ca);
    let (_, told) = explain(&store(&[&root], &[]), &[&client, &ca]);
    assert_eq!(told.paths[0].fault.as_deref(), Some("webpki says EndEntityUsedAsCa"));
    assert_eq!(told.paths[0].certificates[1].remarks, ["not a CA (basicConstraints)"]);
}

/// Goal: a question is answered as a handshake is. Method: every certificate of a small PKI, good and
/// bad, in chains of one to three, judged and explained.
#[test]
fn explaining_and_judging_agree() {
    let root = Draft::ca("root").root();
    let ca = Draft::ca("issuing").by(&root);
    let late = Draft::ca("late").valid(NOW - 2 * DAY, NOW - DAY).by(&root);
    let good = Draft::client("good").by(&ca);
    let revoked = Draft::client("revoked").by(&ca);
    let expired = Draft::client("expired").valid(NOW - 2 * DAY, NOW - DAY).by(&ca);
    let below_late = Draft::client("below late").by(&late);
    let store = store(&[&root, &ca], &[list_of(&ca, &revoked)]);
    let all = [&root, &ca, &late, &good, &revoked, &expired, &below_late];
    let mut filter = Filter::default();
    filter.add(Field::SubjectCn, "good").unwrap();
    let filtering = Conditions { filters: Filters::new(vec![filter]), ..Conditions::default() };
    let mut accepted = 0;
    for conditions in [Conditions::default(), filtering] {
        for first in all {
            for second in all {
                let sent = chain(&[first, second]);
                for sent in [&sent[..1], &sent[..]] {
                    let mut told = Told::default();
                    let explained = store.explain(sent, &conditions, at(NOW), &mut told);
                    assert_eq!(explained, store.judge(sent, &conditions, at(NOW)));
                    accepted += usize::from(explained.is_ok());
                    let good = told.paths.iter().filter(|path| path.refusal.is_none()).count();
                    assert_eq!(good, usize::from(explained.is_ok()), "{told:?}");
                }
            }
        }
    }
    assert_eq!(accepted, 2 * 2 * all.len(), "the good client alone, whatever comes with it");
}

#[test]
fn a_malformed_certificate_is_told_with_the_byte() {
    let root = Draft::ca("root").root();
    let mut broken = Draft::client("client").by(&root).der.to_vec();
    broken.push(0);
    let sent = [CertificateDer::from(broken)];
    let mut told = Told::default();
    let store = store(&[&root], &[]);
    let verdict = store.explain(&sent, &Conditions::default(), at(NOW), &mut told);
    assert_eq!(verdict.unwrap_err(), Refusal::Invalid);
    assert!(told.sent[0].remarks[0].contains("the end of the certificate expected"), "{told:?}");
}

#[test]
fn what_the_filters_look_at_is_told() {
    let root = Draft::ca("root").root();
    let client = Draft::client("device-17").by(&root);
    let mut filter = Filter::default();
    filter.add(Field::SubjectCn, "device-1*").unwrap();
    let conditions = Conditions { filters: Filters::new(vec![filter]), ..Conditions::default() };
    let mut told = Told::default();
    let sent = chain(&[&client]);
    store(&[&root], &[]).explain(&sent, &conditions, at(NOW), &mut told).unwrap();
    assert_eq!(told.matching_filter, Some(0));
    assert_eq!(told.identity[0], ("subject_cn", vec!["device-17".to_owned()]));
    assert_eq!(told.identity[1], ("issuer", vec!["CN=root".to_owned()]));
}

/// Asks for entries; answers which files were read.
fn find_entries(told: &mut Told, files: &[&[u8]]) -> Vec<usize> {
    let mut read = Vec::new();
    told.find_entries(|index| {
        read.push(index);
        let bytes = files.get(index).ok_or("it is gone")?;
        Ok(Again { bytes, revocation_id: u64::try_from(index).ok() })
    });
    read
}

#[test]
fn the_entry_that_hit_is_found_again_among_lists_and_files() {
    let (root, other) = (Draft::ca("root").root(), Draft::ca("other").root());
    let client = Draft::client("client").serial(&[5]).by(&root);
    let number = |bytes: &[u8]| extension(20, false, &der(2, &[bytes]));
    let key_compromise = extension(21, false, &[10, 1, 1]);
    let elsewhere = List::of(&other).revoking(&[5]).by(&other.key);
    // The number is encoded in another way than in the certificate.
    let naming = List::of(&root).revoking(&[4]).entry(&[0, 5], &[key_compromise]);
    let naming = naming.with(number(&[1, 44])).by(&root.key);
    let second = List { this_update: NOW - 2 * DAY, ..List::of(&root) };
    let second = second.revoking(&[5]).with(number(&[0x80; 9])).by(&root.key);
    let text = pem("X509 CRL", &elsewhere) + &pem("X509 CRL", &naming);
    let files = [empty_list(&root), text.into_bytes(), second];
    let store = store(&[&root, &other], &files);
    let files = files.each_ref().map(Vec::as_slice);

    let (verdict, mut told) = explain(&store, &[&client]);
    assert_eq!(verdict.unwrap_err(), Refusal::CrlHit);
    assert_eq!(find_entries(&mut told, &files), [0, 1, 2], "each once");
    let leaf = &told.paths[0].certificates[0];
    assert_eq!(leaf.unread_lists, [""; 0]);
    let [first, second] = leaf.revoked_by.as_slice() else { panic!("{leaf:?}") };
    let expected = Entry {
        file: "test.crl".to_owned(),
        revocation_id: Some(1),
        issuer: "CN=root".to_owned(),
        crl_number: Some("300".to_owned()),
        this_update: rfc3339(at(NOW - DAY)),
        next_update: Some(rfc3339(at(NOW + DAY))),
        serial_number: "05".to_owned(),
        revocation_date: Some(rfc3339(at(NOW - DAY))),
        reason: "keyCompromise",
    };
    assert_eq!(*first, expected);
    assert_eq!(second.crl_number, Some(format!("0x{}", "80".repeat(9))));
    assert_eq!((second.revocation_id, second.reason), (Some(2), "unspecified"));

    // A file that is gone is named, and the others are read all the same.
    let (_, mut told) = explain(&store, &[&client]);
    find_entries(&mut told, &files[..2]);
    let leaf = &told.paths[0].certificates[0];
    assert_eq!(
        (leaf.revoked_by.len(), &leaf.unread_lists[..]),
        (1, &["it is gone".to_owned()][..])
    );
}

#[test]
fn a_path_that_is_refused_is_told_beside_the_one_that_is_accepted_instead() {
    let root = Draft::ca("root").root();
    let expired = Draft::ca("issuing").valid(NOW - 9 * DAY, NOW - DAY).by(&root);
    let renewed = Draft { key: expired.key.copy(), ..Draft::ca("issuing") }.by(&root);
    let client = Draft::client("client").by(&renewed);
    let (verdict, told) = explain(&store(&[&root], &[]), &[&client, &expired, &renewed]);
    verdict.unwrap();
    let codes: Vec<_> = told.paths.iter().map(|path| path.refusal).collect();
    assert_eq!(codes, [Some("ClientCertExpired"), None]);
    assert_eq!(told.paths[0].certificates[1].remarks, ["expired"]);
    assert!(told.paths[1].certificates.iter().all(|seen| seen.remarks.is_empty()), "{told:?}");
}

#[test]
fn what_leaves_the_disk_is_certificates_whatever_stands_around_them() {
    let root = Draft::ca("root").root();
    let certificate = pem("CERTIFICATE", &root.der);
    let key = pem("PRIVATE KEY", b"secret");
    for before in ["", "0 is where DER begins, too\n", "subject: CN=root\r\n"] {
        let file = format!("{before}{key}{certificate}{key}{}", certificate.trim_end());
        let alone = certificates_alone(file.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(alone).unwrap(), certificate.repeat(2), "{before}");
    }
    assert_eq!(certificates_alone(&root.der).unwrap(), *root.der);
    let long = certificate.repeat(limits::CHAIN_FILE_BYTES_MAX / certificate.len() + 1);
    assert!(certificates_alone(long.as_bytes()).unwrap_err().contains("are allowed"));
}

#[test]
fn chains_are_read_from_pem_beside_keys_and_from_der() {
    let root = Draft::ca("root").root();
    let client = Draft::client("client").by(&root);
    let both = format!(
        "{}{}{}",
        pem("PRIVATE KEY", b"secret"),
        pem("CERTIFICATE", &client.der),
        pem("CERTIFICATE", &root.der)
    );
    assert_eq!(read_chain(both.as_bytes()).unwrap(), chain(&[&client, &root]));
    assert_eq!(read_chain(&client.der).unwrap(), chain(&[&client]));
    assert_eq!(read_chain(b"").unwrap_err(), "the file holds no certificate");
    assert!(verdict::judge_form(&read_chain(both.as_bytes()).unwrap()[0]).is_ok());
}

#[test]
fn times_are_read_as_people_write_them() {
    let written = |text| read_time(text).map(rfc3339);
    assert_eq!(written("2027-01-15").as_deref(), Some("2027-01-15T00:00:00Z"));
    assert_eq!(written("2027-01-15T08:00:00Z").as_deref(), Some("2027-01-15T08:00:00Z"));
    assert_eq!(written("@1800000000").as_deref(), Some("2027-01-15T08:00:00Z"));
    for wrong in ["", "tomorrow", "2027-13-01", "2027-01-15T08:00:00", "@", "@x"] {
        assert_eq!(read_time(wrong), None, "{wrong}");
    }
}

#[test]
fn a_certificate_for_which_no_list_vouches_is_marked() {
    let root = Draft::ca("root").root();
    let client = Draft::client("client").by(&root);
    let unlisted_issuers = super::super::revocation::UnlistedIssuers::Refuse;
    let mut store = store(&[&root], &[]);
    store.rules.unlisted_issuers = unlisted_issuers;
    let (verdict, told) = explain(&store, &[&client]);
    assert_eq!(verdict.unwrap_err(), Refusal::CrlProcessingError);
    let remarks = &told.paths[0].certificates[0].remarks;
    assert_eq!(remarks, &["no current revocation list vouches for it"]);
}
