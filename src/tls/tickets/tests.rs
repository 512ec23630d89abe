use super::*;

fn file(seed: u8) -> Vec<u8> {
    (0..80).map(|index: u8| seed.wrapping_add(index.wrapping_mul(7))).collect()
}

fn keys(seeds: &[u8]) -> Keys {
    Keys::from_files(seeds.iter().map(|seed| Key::from_file(&file(*seed)).unwrap()).collect())
}

fn ticket<'a>(path: &'a [u8], session: &'a [u8]) -> Ticket<'a> {
    Ticket {
        binding: Binding { policy: Fingerprint([1; 16]), bundle: Fingerprint([2; 16]) },
        expires: UnixTime::since_unix_epoch(Duration::from_secs(1_795_169_472)),
        path,
        session,
    }
}

/// What opening comes to, owned.
fn outcome(keys: &Keys, bytes: &[u8]) -> Result<Vec<u8>, Declined> {
    keys.open(bytes, &mut Vec::new()).map(|ticket| ticket.session.to_vec())
}

#[test]
fn what_was_sealed_opens_again_whole() {
    let keys = keys(&[1]);
    let long = vec![7; 5_000];
    for (path, session) in [(&b""[..], &b""[..]), (b"path", b"session"), (b"p", &long)] {
        let sealed = keys.seal(&ticket(path, session)).unwrap();
        assert_eq!(keys.open(&sealed, &mut Vec::new()), Ok(ticket(path, session)));
        let telling = |needle: &[u8]| sealed.windows(needle.len()).any(|window| window == needle);
        assert!(session.len() < 7 || !telling(session), "the session is sealed");
    }
}

/// Goal: whatever happens to a ticket on its way, it opens to nothing. Method: every byte, every bit, every
/// prefix, and more behind it.
#[test]
fn a_ticket_that_was_touched_does_not_open() {
    let keys = keys(&[1]);
    let sealed = keys.seal(&ticket(b"path", b"session")).unwrap();
    for index in 0..sealed.len() {
        for bit in 0..8 {
            let mut touched = sealed.clone();
            touched[index] ^= 1 << bit;
            let expected = if index < 16 { Declined::UnknownKey } else { Declined::Damaged };
            assert_eq!(outcome(&keys, &touched), Err(expected), "bit {bit} of byte {index}");
        }
    }
    for length in 0..sealed.len() {
        let expected = if length < 16 { Declined::UnknownKey } else { Declined::Damaged };
        assert_eq!(outcome(&keys, &sealed[..length]), Err(expected), "{length} bytes");
    }
    let longer = [&sealed[..], b"\0"].concat();
    assert_eq!(outcome(&keys, &longer), Err(Declined::Damaged));
    let huge = [&sealed[..], &vec![0; limits::TICKET_BYTES_MAX]].concat();
    assert_eq!(outcome(&keys, &huge), Err(Declined::Damaged));
}

#[test]
fn a_session_too_long_for_a_ticket_gets_none() {
    let keys = keys(&[1]);
    let overhead = keys.seal(&ticket(b"", b"")).unwrap().len();
    let most = vec![0; limits::TICKET_BYTES_MAX - overhead];
    let sealed = keys.seal(&ticket(b"", &most)).unwrap();
    assert_eq!(outcome(&keys, &sealed).as_deref(), Ok(&most[..]));
    assert_eq!(keys.seal(&ticket(b"x", &most)), None);
}

#[test]
fn the_first_key_seals_and_all_open() {
    let sealed = keys(&[1, 2]).seal(&ticket(b"", b"session")).unwrap();
    for (seeds, expected) in [
        (&[1][..], Ok(b"session".to_vec())),
        (&[3, 2, 1], Ok(b"session".to_vec())),
        (&[2], Err(Declined::UnknownKey)),
        (&[], Err(Declined::UnknownKey)),
    ] {
        assert_eq!(outcome(&keys(seeds), &sealed), expected, "{seeds:?}");
    }
    assert_eq!(keys(&[]).seal(&ticket(b"", b"session")), None);
}

/// Goal: a key of the node's own seals for one turn and opens for one more.
#[test]
fn a_key_of_our_own_is_forgotten_after_two_turns() {
    let keys = Keys::random().unwrap();
    let sealed = keys.seal(&ticket(b"", b"session")).unwrap();
    keys.rotate().unwrap();
    assert!(outcome(&keys, &sealed).is_ok());
    assert_ne!(keys.seal(&ticket(b"", b"")).unwrap()[..16], sealed[..16], "another key seals");
    keys.rotate().unwrap();
    assert_eq!(outcome(&keys, &sealed), Err(Declined::UnknownKey));
    assert_eq!(outcome(&Keys::random().unwrap(), &sealed), Err(Declined::UnknownKey));
}

#[test]
fn keys_of_files_stay_until_the_files_change() {
    let keys = keys(&[1]);
    let sealed = keys.seal(&ticket(b"", b"session")).unwrap();
    keys.rotate().unwrap();
    keys.rotate().unwrap();
    assert!(outcome(&keys, &sealed).is_ok());
}

#[test]
fn a_key_file_is_80_or_48_random_bytes() {
    let whole = file(1);
    for size in [48, 80] {
        assert!(Key::from_file(&whole[..size]).is_ok());
    }
    let all: Vec<u8> = (0..=255).collect();
    for size in [0, 1, 32, 47, 49, 79, 81, 96] {
        assert_eq!(Key::from_file(&all[..size]).unwrap_err(), KeyFault::Size(size));
    }
    let hexadecimal = b"0123456789abcdef".repeat(5);
    let word = b"secret ".repeat(20);
    let repetitive = [(&[0; 80][..], 1), (&[0xff; 48], 1), (&hexadecimal, 16), (&word[..48], 6)];
    for (secret, different) in repetitive {
        let fault = Key::from_file(secret).unwrap_err();
        assert_eq!(fault, KeyFault::FewDifferent(different));
        assert!(fault.to_string().starts_with(&format!("it has only {different} different bytes")));
    }
    let said = format!("{:?}", Key::from_file(&whole).unwrap());
    assert_eq!(said, "Key { .. }", "a key is never written out");
}

/// Two nodes with one file must agree, also across builds: what opens today opens tomorrow.
#[test]
fn a_key_has_the_name_that_it_had() {
    let sealed = keys(&[1]).seal(&ticket(b"", b"")).unwrap();
    assert_eq!(sealed[..4], [24, 54, 138, 127]);
}

#[test]
fn declines_have_distinct_words_and_follow_their_indexes() {
    for (index, declined) in Declined::ALL.iter().enumerate() {
        assert_eq!(declined.index(), index, "{declined:?}");
        assert!(declined.word().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        assert!(Declined::ALL[..index].iter().all(|other| other.word() != declined.word()));
    }
}
