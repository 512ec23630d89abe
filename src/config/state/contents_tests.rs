use super::*;

fn file(name: &str, content: &str) -> File {
    File { name: name.to_owned(), bytes: Bytes::copy_from_slice(content.as_bytes()) }
}

fn contents() -> Contents {
    let lists = vec![file("a.crl", "list a"), file("b.crl", "list b")];
    Contents::new(file("partners.pem", "bundle"), lists).unwrap()
}

fn encoded(contents: &Contents) -> Vec<u8> {
    let mut out = Vec::new();
    contents.clone().sealed("partners").encode(&mut out).unwrap();
    out
}

fn decoded(bytes: &[u8]) -> Result<Contents, Broken> {
    Sealed::decode("partners", &Bytes::copy_from_slice(bytes)).map(Sealed::into_contents)
}

fn ids(contents: &Contents) -> Vec<u64> {
    contents.revocations().keys().copied().collect()
}

#[test]
fn what_was_encoded_is_decoded() {
    let contents = contents();
    assert_eq!(decoded(&encoded(&contents)), Ok(contents.clone()));
    let removed = contents.changed(Change::RemoveRevocations(vec![1, 2])).unwrap();
    let decoded = decoded(&encoded(&removed)).unwrap();
    assert_eq!((ids(&decoded), decoded.next_id()), (vec![], 3), "ids are not forgotten");
}

#[test]
fn the_checksum_is_the_end_of_the_encoded_form() {
    let sealed = contents().sealed("partners");
    let whole = encoded(&contents());
    assert!(whole.ends_with(sealed.checksum()));
    assert_eq!(Sealed::decode("partners", &whole.into()), Ok(sealed));
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let whole = encoded(&contents());
    for length in 0..whole.len() {
        assert!(decoded(&whole[..length]).is_err(), "cut at {length}");
    }
    for position in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[position] ^= 1 << bit;
            assert!(decoded(&flipped).is_err(), "bit {bit} of byte {position}");
        }
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert_eq!(decoded(&longer), Err(Broken::Checksum));
}

#[test]
fn what_is_wrong_is_named() {
    let whole = encoded(&contents());
    assert_eq!(decoded(b""), Err(Broken::Foreign));
    assert_eq!(decoded(b"-----BEGIN CERTIFICATE-----"), Err(Broken::Foreign));
    let later = String::from_utf8_lossy(MAGIC).into_owned() + "0002\nwho knows";
    assert_eq!(decoded(later.as_bytes()), Err(Broken::OtherVersion));
    let whole = Bytes::from(whole);
    assert_eq!(Sealed::decode("staff", &whole), Err(Broken::OtherStore));
}

/// Goal: a checksum alone does not make an order of ids good. Method: one that nobody would write.
#[test]
fn ids_that_do_not_grow_are_refused() {
    let mut wrong = contents();
    wrong.next_id = 2;
    assert_eq!(decoded(&encoded(&wrong)), Err(Broken::Parts));
}

#[test]
fn ids_only_grow() {
    let first = contents();
    assert_eq!(ids(&first), [1, 2]);
    let fewer = first.changed(Change::RemoveRevocations(vec![2, 2])).unwrap();
    assert_eq!(ids(&fewer), [1]);
    let more = fewer.changed(Change::AddRevocations(vec![file("c", "c"), file("c", "c")])).unwrap();
    assert_eq!(ids(&more), [1, 3, 4]);
    let bundle = || file("new.pem", "new");
    let kept = more.changed(Change::Replace { bundle: bundle(), revocations: None }).unwrap();
    assert_eq!((ids(&kept), kept.bundle()), (vec![1, 3, 4], &bundle()));
    let revocations = Some(vec![file("d", "d")]);
    let other = kept.changed(Change::Replace { bundle: bundle(), revocations }).unwrap();
    assert_eq!(ids(&other), [5]);
    let none = other.changed(Change::Replace { bundle: bundle(), revocations: Some(vec![]) });
    assert_eq!(none.map(|none| (ids(&none), none.next_id())), Ok((vec![], 6)));
}

#[test]
fn every_unknown_id_is_named_and_nothing_is_removed() {
    let refused = contents().changed(Change::RemoveRevocations(vec![7, 1, 9]));
    assert_eq!(refused, Err(vec![Refused::UnknownId(7), Refused::UnknownId(9)]));
}

#[test]
fn the_bounds_hold_to_the_file_and_byte() {
    let files = |count: usize| vec![file("", ""); count];
    let bundle = || file("", "");
    let max = limits::REVOCATION_FILES_MAX;
    assert!(Contents::new(bundle(), files(max)).is_ok());
    let refused = Contents::new(bundle(), files(max + 1));
    assert_eq!(refused, Err(Refused::TooManyFiles(max + 1)));

    let of = |bytes: usize| File { name: "x".to_owned(), bytes: vec![0; bytes].into() };
    let too_long = |bytes_max: usize| {
        let name = "x".to_owned();
        Err(Refused::FileTooLong { name, bytes: bytes_max + 1, bytes_max })
    };
    let (bundle_max, list_max) = (limits::BUNDLE_BYTES_MAX, limits::REVOCATION_FILE_BYTES_MAX);
    assert!(Contents::new(of(bundle_max), vec![of(list_max)]).is_ok());
    assert_eq!(Contents::new(of(bundle_max + 1), vec![]), too_long(bundle_max));
    let refused = Contents::new(bundle(), vec![of(list_max + 1)]);
    assert_eq!(refused, too_long(list_max));
    let said = refused.unwrap_err().to_string();
    assert_eq!(said, "x: the file has 134217729 bytes, and the limit is 134217728");

    let max = limits::TRUST_STORE_BYTES_MAX;
    let rest = max - list_max - 3 * FILE_OVERHEAD - 2;
    assert!(Contents::new(bundle(), vec![of(list_max), of(rest)]).is_ok());
    let refused = Contents::new(bundle(), vec![of(list_max), of(rest + 1)]);
    assert_eq!(refused, Err(Refused::TooLong(max + 1)));
}
