//! The quick verdict against the whole one, on chains and changes that nobody thought of.
//!
//! A client is judged whole under one state of a random PKI's store. Its path, through its encoded form, is
//! then judged again under others: other CAs, lists, rules, conditions, another time. The quick answer must
//! be that of the whole verdict, or that it does not know.
use crate::generated::{self, Certificate, NOW, Pki, Random};
use crate::{is_long, seed};
use portcullis::trust::filter::{Field, Filter};
use portcullis::trust::revocation::File;
use portcullis::trust::{
    Accepted, Again, Bundle, Conditions, Filters, Path, Refusal, Revocations, Rules,
    StaleRevocations, Store, UnlistedIssuers,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::BTreeMap;
use std::time::Duration;

const STATES: usize = 8;

/// Each two states have the same CAs: where those change, of many a path nothing can be said.
const BUNDLES: usize = STATES / 2;

/// 2019 and 2041: a year before and after every certificate.
const BEGIN: u64 = 1_546_300_800;
const END: u64 = 2_240_611_200;

/// A store and what is asked beyond it.
struct State {
    store: Store,
    conditions: Conditions,
}

#[test]
fn a_path_judged_again_gets_the_answer_of_the_whole_verdict() {
    let (count, first) = (if is_long() { 5_000 } else { 150 }, seed());
    println!("PKIs {first} to {}", first.wrapping_add(count - 1));
    let keys = generated::keys();
    let mut counts = BTreeMap::new();
    for seed in (0..count).map(|index| first.wrapping_add(index)) {
        let pki = Pki::generate(seed, &keys);
        let mut random = Random(!seed);
        let usable = usable(&pki);
        let bundles: Vec<_> = (0..BUNDLES).map(|_| bundle(&mut random, &usable)).collect();
        let states: Vec<State> = (0..STATES)
            .filter_map(|index| State::random(&mut random, &pki, &bundles[index % BUNDLES]))
            .collect();
        let chains: Vec<_> = (0..3).map(|_| chain(&mut random, &pki)).collect();
        for (chain, state) in chains.iter().flat_map(|c| states.iter().map(move |s| (c, s))) {
            let first = random.between(BEGIN, END);
            let Ok(Accepted { until, path }) = state.judge(chain, first) else { continue };
            let path = Path::decode(path.encode()).expect("what was encoded is decoded");
            // Where all expiry is ignored it may never end.
            let end = until.as_secs().min(END);
            let ends = [end, end + 1];
            for time in [ends[0], random.between(first, ends[0])] {
                let then = state.judge(chain, time);
                assert!(then.is_ok(), "PKI {seed}: {then:?} at {time}, accepted until {until:?}");
            }
            for later in &states {
                let times = [first, random.between(BEGIN, END), ends[0], ends[1]];
                for time in times {
                    let case = format!("PKI {seed} at {time}: {path:?}");
                    let whole = later.judge(chain, time);
                    let word = compare(&path, later.again(&path, time), &whole, &case);
                    if std::ptr::eq(state, later) {
                        continue;
                    }
                    for kind in kinds(&path) {
                        *counts.entry((kind, word)).or_insert(0_u64) += 1;
                    }
                }
            }
        }
    }
    println!("{counts:?}");
    // The test means something only while all of them happen often, under another state than the first.
    for kind in ["any", "filtered", "sent", "among"] {
        for word in ["accepted", "refused", "refused for its lists", "unknown"] {
            // A path among others is never refused: another may lead to an anchor still.
            let is_possible = kind != "among" || !word.starts_with("refused");
            let times = counts.get(&(kind, word)).copied().unwrap_or_default();
            assert_eq!(times > count / 20, is_possible, "{kind} {word}: {counts:?}");
        }
    }
}

/// What a path is, read from its encoded form as the head of `src/trust/path.rs` draws it: let in by filters,
/// through a CA that the client sent, one among others; and `any`.
fn kinds(path: &Path) -> Vec<&'static str> {
    const FILTERED: u8 = 0x08;
    const AMONG: u8 = 0x10;
    const FINGERPRINT: usize = 16;
    // Behind the version of the rules.
    let bytes = &path.encode()[1..];
    let counted = |at: usize| at + 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let is_filtered = bytes[0] & FILTERED != 0;
    let is_among = bytes[0] & AMONG != 0;
    let leaf = 1 + FINGERPRINT * (usize::from(is_filtered) + usize::from(is_among));
    // Two times and a byte, then the serial number and the distribution points.
    let after = |certificate: usize| counted(counted(certificate + 17));
    let mut step = after(leaf);
    let mut is_sent = false;
    while step < bytes.len() {
        step = match bytes[step] {
            0 => step + 1 + FINGERPRINT,
            _ => {
                is_sent = true;
                after(counted(counted(step + 1)))
            }
        };
    }
    assert_eq!(step, bytes.len(), "{path:?}");
    let kinds = [("any", true), ("filtered", is_filtered), ("sent", is_sent), ("among", is_among)];
    kinds.into_iter().filter(|(_, is)| *is).map(|(kind, _)| kind).collect()
}

/// Holds the quick answer against the whole verdict; says what it was.
fn compare(
    path: &Path,
    again: Again,
    whole: &Result<Accepted, Refusal>,
    case: &str,
) -> &'static str {
    match again {
        Again::Accepted { until } => {
            let Ok(whole) = whole else { panic!("{case}: the whole verdict is {whole:?}") };
            // Unless another path was found first, it is the very same.
            if whole.path == *path {
                assert_eq!(until, whole.until, "{case}");
            }
            "accepted"
        }
        Again::Refused(refusal) => {
            assert_eq!(whole.as_ref().err(), Some(&refusal), "{case}");
            let of_lists = [Refusal::CrlHit, Refusal::CrlProcessingError];
            if of_lists.contains(&refusal) { "refused for its lists" } else { "refused" }
        }
        Again::Unknown => "unknown",
    }
}

impl State {
    /// A store of these CAs and most of the PKI's lists; `None` where they cannot stand together.
    fn random(random: &mut Random, pki: &Pki, cas: &str) -> Option<Self> {
        let (bundle, _) = Bundle::from_pem(cas.as_bytes(), at(NOW)).ok()?;
        let file = |list| File { name: "list", bytes: list };
        let files: Vec<_> = pki
            .lists
            .iter()
            .filter(|_| random.percent(70))
            .map(|list| file(&list.der[..]))
            .filter(|file| Revocations::load(std::slice::from_ref(file), &bundle).is_ok())
            .collect();
        let revocations = Revocations::load(&files, &bundle).unwrap();
        let (stale, unlisted) = (random.percent(40), random.percent(15));
        let rules = Rules {
            stale_revocations: match stale {
                true => StaleRevocations::Refuse,
                false => StaleRevocations::Enforce,
            },
            unlisted_issuers: match unlisted {
                true => UnlistedIssuers::Refuse,
                false => UnlistedIssuers::Allow,
            },
        };
        let mut filters = Vec::new();
        if random.percent(30) {
            let mut filter = Filter::default();
            let pattern = random.of(&["example.com", "*.example.com"]);
            filter.add(Field::SanDns, pattern).unwrap();
            filter.add(Field::SubjectCn, "the client").unwrap();
            filters.push(filter);
        }
        let conditions = Conditions {
            ignore_client_certificate_expiry: random.percent(30),
            ignore_all_expiry: random.percent(20),
            filters: Filters::new(filters),
        };
        let store = Store { name: "generated".into(), bundle, revocations, rules };
        Some(Self { store, conditions })
    }

    fn judge(&self, chain: &[CertificateDer<'_>], time: u64) -> Result<Accepted, Refusal> {
        self.store.judge(chain, &self.conditions, at(time))
    }

    fn again(&self, path: &Path, time: u64) -> Again {
        self.store.judge_again(path, &self.conditions, at(time))
    }
}

/// The PKI's CAs that a bundle takes.
fn usable(pki: &Pki) -> Vec<&Certificate> {
    let is_usable = |ca: &&Certificate| Bundle::from_pem(ca.pem.as_bytes(), at(NOW)).is_ok();
    pki.cas.iter().filter(is_usable).collect()
}

/// A few or most of these CAs.
fn bundle(random: &mut Random, usable: &[&Certificate]) -> String {
    let share = random.of(&[40, 70, 95]);
    usable.iter().filter(|_| random.percent(share)).map(|ca| ca.pem.as_str()).collect()
}

/// The leaf and some of the CAs, in some order.
fn chain(random: &mut Random, pki: &Pki) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![pki.leaf.der.clone()];
    for ca in pki.cas.iter().take(9) {
        if random.percent(70) {
            chain.insert(1 + random.below(chain.len()), ca.der.clone());
        }
    }
    chain
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
