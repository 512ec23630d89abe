use super::*;
use std::sync::Weak;
use std::time::Duration;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

type Chain = Vec<CertificateDer<'static>>;

/// The chain of client `number`: its certificate, then others of so many bytes.
fn chain(number: u64, others: &[usize]) -> Chain {
    let leaf = CertificateDer::from(number.to_be_bytes().to_vec());
    let others = others.iter().map(|bytes| CertificateDer::from(vec![0; *bytes]));
    std::iter::once(leaf).chain(others).collect()
}

const VOUCHED: Came = Came::Vouched;
const UNTRUSTED: Came = Came::Otherwise(Some(Refusal::Untrusted));
const REVOKED: Came = Came::Otherwise(Some(Refusal::CrlHit));

fn note(memory: &mut Memory, chain: &Chain, came: Came, now: u64) {
    let listener: Name = "https".into();
    let key = Key::of(&listener, "", chain);
    memory.remember(key, came, at(now), chain, || client(&listener, None, chain));
}

/// Of each client that is remembered: its number, whether it is vouched for, how often and when it came, and
/// its last refusal.
fn known(memory: &Memory) -> Vec<(u64, bool, u64, UnixTime, Option<Refusal>)> {
    let mut known: Vec<_> = memory
        .keys()
        .iter()
        .flat_map(|key| memory.known(key))
        .map(|Seen { client, is_vouched, last, count, refusal }| {
            let number = u64::from_be_bytes(client.chain[0].as_ref().try_into().unwrap());
            (number, is_vouched, count, last, refusal)
        })
        .collect();
    known.sort_by_key(|(number, is_vouched, ..)| (*number, !*is_vouched));
    known
}

fn entries(share: &Share) -> impl Iterator<Item = &Entry> {
    [&share.younger, &share.older].into_iter().flat_map(|generation| generation.clients.values())
}

fn count(share: &Share) -> usize {
    entries(share).count()
}

fn all_bytes(share: &Share) -> usize {
    let sum = entries(share).map(|entry| bytes(&entry.client)).sum();
    assert_eq!(share.younger.bytes + share.older.bytes, sum);
    sum
}

#[test]
fn a_client_is_one_entry_with_its_last_time_its_count_and_its_last_verdict() {
    let mut memory = Memory::default();
    let (first, second) = (chain(1, &[]), chain(2, &[]));
    note(&mut memory, &first, UNTRUSTED, 10);
    note(&mut memory, &second, UNTRUSTED, 11);
    note(&mut memory, &first, VOUCHED, 12);
    let of_second = (2, false, 1, at(11), Some(Refusal::Untrusted));
    assert_eq!(known(&memory), [(1, true, 2, at(12), None), of_second]);
    note(&mut memory, &first, VOUCHED, 13);
    assert_eq!(known(&memory), [(1, true, 3, at(13), None), of_second]);
    assert_eq!((count(&memory.vouched), count(&memory.others)), (1, 1));
}

/// Goal: who has one certificate is one client. Method: each time other certificates along with it.
#[test]
fn what_a_client_sends_along_pushes_nobody_out() {
    let mut memory = Memory::default();
    let bystander = chain(u64::MAX, &[]);
    note(&mut memory, &bystander, VOUCHED, 1);
    for turn in 0..3 * limits::SEEN_VOUCHED_MAX {
        let junk = chain(1, &[turn % 1_000]);
        note(&mut memory, &junk, VOUCHED, 2);
        assert_eq!(memory.find(&Key::of("https", "", &junk), &junk).unwrap().chain, junk);
    }
    let turns = 3 * limits::SEEN_VOUCHED_MAX as u64;
    let expected = [(1, true, turns, at(2), None), (u64::MAX, true, 1, at(1), None)];
    assert_eq!(known(&memory), expected);
    assert!(all_bytes(&memory.vouched) < 10_000);
}

/// Goal: what a dry run wants to know after a mass revocation is still there. Method: twice as many revoked
/// clients as others are remembered, and then as many strangers.
#[test]
fn who_was_vouched_for_stays_where_it_is_when_it_is_refused() {
    let mut memory = Memory::default();
    let clients = 2 * limits::SEEN_OTHERS_MAX as u64;
    for (came, now) in [(VOUCHED, 1), (REVOKED, 2)] {
        for number in 0..clients {
            note(&mut memory, &chain(number, &[]), came, now);
        }
    }
    for number in clients..2 * clients {
        note(&mut memory, &chain(number, &[]), UNTRUSTED, 3);
    }
    let vouched: Vec<_> = known(&memory).into_iter().filter(|(_, vouched, ..)| *vouched).collect();
    assert_eq!(vouched.len() as u64, clients);
    let expected = (2, at(2), Some(Refusal::CrlHit));
    assert!(vouched.iter().all(|(_, _, count, last, why)| (*count, *last, *why) == expected));
}

/// A refusal comes before the proof of the key: whoever knows a certificate can have it refused.
#[test]
fn a_certificate_in_a_strangers_chain_changes_nothing_of_its_owner() {
    let mut memory = Memory::default();
    let (owner, stranger) = (chain(1, &[100]), chain(1, &[]));
    note(&mut memory, &owner, VOUCHED, 1);
    note(&mut memory, &stranger, UNTRUSTED, 2);
    note(&mut memory, &stranger, UNTRUSTED, 3);
    let of_owner = (1, true, 1, at(1), None);
    let of_stranger = (1, false, 2, at(3), Some(Refusal::Untrusted));
    assert_eq!(known(&memory), [of_owner, of_stranger]);
    let key = Key::of("https", "", &owner);
    for chain in [&owner, &stranger] {
        assert_eq!(&memory.find(&key, chain).unwrap().chain, chain, "each connection has its own");
    }
    assert!(memory.find(&key, &chain(1, &[1])).is_none());
}

#[test]
fn strangers_push_out_nobody_for_whom_a_trust_store_vouched() {
    let mut memory = Memory::default();
    note(&mut memory, &chain(u64::MAX, &[]), VOUCHED, 1);
    for number in 0..3 * limits::SEEN_OTHERS_MAX as u64 {
        note(&mut memory, &chain(number, &[]), UNTRUSTED, 2);
        assert!(count(&memory.others) <= limits::SEEN_OTHERS_MAX, "{number}");
    }
    assert_eq!(count(&memory.vouched), 1);
    // The latest are there.
    let latest = 3 * limits::SEEN_OTHERS_MAX as u64 - 1;
    assert!(known(&memory).iter().any(|(number, ..)| *number == latest));
}

#[test]
fn the_memory_is_bounded_by_number_and_by_bytes_and_keeps_who_comes_again() {
    for others in [&[][..], &[limits::CHAIN_BYTES_MAX - 8]] {
        let mut memory = Memory::default();
        for number in 0..3 * limits::SEEN_VOUCHED_MAX as u64 {
            note(&mut memory, &chain(number, others), VOUCHED, number);
            note(&mut memory, &chain(u64::MAX, &[]), VOUCHED, number);
            assert!(count(&memory.vouched) <= limits::SEEN_VOUCHED_MAX, "{number}");
        }
        assert!(all_bytes(&memory.vouched) <= limits::SEEN_VOUCHED_BYTES_MAX);
        let known = known(&memory);
        let (number, _, count, ..) = known.last().unwrap();
        assert_eq!((*number, *count), (u64::MAX, 3 * limits::SEEN_VOUCHED_MAX as u64));
    }
}

/// Goal: no handshake frees what thousands have left. Method: chains of either size, each size long enough
/// to fill generations with them, and after each client the number of chains that are gone.
#[test]
fn a_generation_that_is_forgotten_goes_bit_by_bit() {
    let mut share = Share::new(limits::SEEN_VOUCHED_MAX, limits::SEEN_VOUCHED_BYTES_MAX);
    let listener: Name = "https".into();
    let mut there: Vec<Weak<Client>> = Vec::new();
    let large = limits::CHAIN_BYTES_MAX - 8;
    for number in 0..12 * limits::SEEN_VOUCHED_MAX as u64 {
        let is_large = number / (3 * limits::SEEN_VOUCHED_MAX as u64) % 2 == 1;
        let chain = chain(number, &[if is_large { large } else { 1_000 }]);
        let client = Arc::new(client(&listener, None, &chain));
        let came = bytes(&client);
        there.push(Arc::downgrade(&client));
        let entry = Entry { client, last: at(0), count: 1, refusal: None };
        let held = share.forgotten.len();
        share.put(Key::of("https", "", &chain), entry);
        let before = there.len();
        there.retain(|client| client.strong_count() > 0);
        let freed = before - there.len();
        assert!(freed <= 2 + 2 * came / 1_000, "{freed} went when {number} came");
        assert!(freed >= held.min(2), "{number}");
    }
    assert!(there.len() <= limits::SEEN_VOUCHED_MAX * 3 / 2);
}
