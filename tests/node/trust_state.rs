//! What trust stores hold outlives the process, however that ends: whole, and as it was answered.
//!
//! One driver sends random commands, good ones and bad ones, and knows what must come of each. The
//! seed is printed.
use crate::support::node::{named, piece};
use crate::support::scratch::Scratch;
use crate::support::{Node, Setup, Target, long, pki, tools, wait};
use portcullis::api::client::Failure;
use portcullis::api::trust::client::{self, Command};
use portcullis::api::trust::upload::Upload;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

fn setup() -> Setup {
    Setup { shards: 2, node: ", state_dir: state", ..Setup::default() }
}

/// A node whose trust store holds the usual bundle and one empty list.
fn node(setup: Setup, target: &Target) -> Node {
    let configuration = [
        piece::certificates(),
        "trust_stores:\n  - {name: partners, source: api, ca_certificates_bundle: partners.pem, \
         revocations: [seed.crl]}\n"
            .to_owned(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", &piece::verify("")),
    ]
    .concat();
    let (bundle, empty) = (pki().read("partners.pem"), pki().issuing.crl(&[]));
    let both = bundle.clone() + &pki().read("stranger.crt");
    // Long enough that writing it takes a while.
    let serials: Vec<Vec<u8>> = (1..=4_000_u32).map(|serial| serial.to_be_bytes().into()).collect();
    let serials: Vec<&[u8]> = serials.iter().map(Vec::as_slice).collect();
    let long = pki().issuing.crl(&serials);
    let stranger = pki().stranger.crl(&[&[1]]);
    let files = [
        ("partners.pem", bundle.as_str()),
        ("both.pem", &both),
        ("seed.crl", &empty),
        ("long.crl", &long),
        ("stranger.crl", &stranger),
        ("nonsense", "nonsense"),
    ];
    Node::with_files(setup, &configuration, &files)
}

/// What the trust store holds: the number of CAs, and the entries of each revocation file by id.
#[derive(Clone, Debug, Eq, PartialEq)]
struct State {
    next_id: u64,
    cas: usize,
    files: BTreeMap<u64, usize>,
    /// Whether one of the files is the stranger's, which only the larger bundle covers.
    strangers: Vec<u64>,
}

impl State {
    fn first() -> Self {
        Self { next_id: 2, cas: 2, files: [(1, 0)].into(), strangers: Vec::new() }
    }

    /// What a status tells.
    fn seen(&self) -> (usize, BTreeMap<u64, usize>) {
        (self.cas, self.files.clone())
    }

    fn add(&mut self, (file, entries): (&str, usize)) {
        if file == "stranger.crl" {
            self.strangers.push(self.next_id);
        }
        self.files.insert(self.next_id, entries);
        self.next_id += 1;
    }
}

/// splitmix64.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn printed() -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
        println!("seed {}", now.as_nanos() as u64);
        Self(now.as_nanos() as u64)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// A random command against `state`, the trust store that it names, and what it makes of the state; none
/// where it must be refused.
fn command(
    state: &State,
    random: &mut Random,
    at: &Path,
) -> (Command, &'static str, Option<State>) {
    const LISTS: [(&str, usize); 4] =
        [("seed.crl", 0), ("long.crl", 4_000), ("stranger.crl", 1), ("nonsense", 0)];
    let mut next = state.clone();
    let mut upload = Upload::default();
    let mut is_good = true;
    let add = |file: &str, upload: &mut Upload| upload.add(&at.join(file), 1_000_000);
    let command = match random.below(3) {
        0 => {
            let (bundle, cas) =
                [("partners.pem", 2), ("both.pem", 3), ("nonsense", 0)][random.below(3)];
            add(bundle, &mut upload);
            next.cas = cas;
            if random.below(3) == 0 {
                next.files.clear();
                next.strangers.clear();
                let list = LISTS[random.below(2)];
                add(list.0, &mut upload);
                next.add(list);
                Command::ReplaceAll(upload)
            } else {
                Command::ReplaceBundle(upload)
            }
        }
        1 => {
            for _ in 0..=random.below(2) {
                let list = LISTS[random.below(4)];
                is_good &= list.0 != "nonsense";
                add(list.0, &mut upload);
                next.add(list);
            }
            Command::AddRevocations(upload)
        }
        _ => {
            let known: Vec<u64> = next.files.keys().copied().collect();
            let id = match (known.len(), random.below(8)) {
                (0, _) | (_, 0) => 1_000_000,
                (count, _) => known[random.below(count)],
            };
            is_good = next.files.remove(&id).is_some();
            next.strangers.retain(|stranger| *stranger != id);
            Command::RemoveRevocations(vec![id])
        }
    };
    let store = if random.below(16) == 0 { "partner" } else { "partners" };
    let is_covered = next.cas == 3 || (next.cas == 2 && next.strangers.is_empty());
    let is_good = is_good && is_covered && store == "partners";
    (command, store, is_good.then_some(next))
}

/// Talks to the node's admin socket.
fn talk<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(future)
}

fn seen(node: &Node) -> (usize, BTreeMap<u64, usize>) {
    let report = talk(client::status(&socket(node), Some("partners"))).expect("the node answers");
    let store = &report.trust_stores[0];
    let entry = |list: &portcullis::api::trust::Revocation| {
        (list.revocation_id.expect("it has an id"), list.number_of_revoked_entries)
    };
    (store.number_of_ca_certificates, store.revocations.iter().map(entry).collect())
}

fn socket(node: &Node) -> PathBuf {
    node.path("portcullis.sock")
}

/// The directory of the node's files.
fn directory(node: &Node) -> PathBuf {
    node.path("")
}

#[test]
fn random_commands_reloads_and_restarts_end_where_a_model_does() {
    let target = Target::named("hello");
    let mut node = node(setup(), &target);
    let mut random = Random::printed();
    let mut state = State::first();
    for step in 0..if long() { 2_000 } else { 300 } {
        match random.below(30) {
            0 => node.restart(),
            1 => node.reload(),
            _ => {
                let (command, store, next) = command(&state, &mut random, &directory(&node));
                let answer = talk(client::change(&socket(&node), store, command.clone()));
                match (&answer, next) {
                    (Ok(changed), Some(next)) => {
                        let new: Vec<u64> = (state.next_id..next.next_id).collect();
                        assert_eq!(changed.new_revocation_ids, new, "step {step}: {changed:?}");
                        state = next;
                    }
                    (Err(Failure::Refused(_)), None) => {}
                    (answer, next) => panic!("step {step}: {answer:?} where {next:?} must come"),
                }
            }
        }
        assert_eq!(seen(&node), state.seen(), "step {step}");
    }
    node.assert_no_panic();
}

/// Goal: `kill -9` loses nothing that was answered and mixes nothing. Method: a stream of commands, a
/// kill at a random moment of it, a restart; again and again.
#[test]
fn a_node_killed_at_any_moment_restarts_in_the_last_answered_state_or_in_the_one_under_way() {
    let target = Target::named("hello");
    let mut node = node(setup(), &target);
    let mut random = Random::printed();
    let mut state = State::first();
    let mut kept_under_way = 0;
    let kills = if long() { 300 } else { 30 };
    for kill in 0..kills {
        let (at, to) = (directory(&node), socket(&node));
        let (first, mut of_thread) = (state.clone(), Random(random.0 ^ kill));
        let (answered, answers) = mpsc::channel();
        let stream = thread::spawn(move || {
            let mut state = first;
            loop {
                let (command, store, next) = command(&state, &mut of_thread, &at);
                match talk(client::change(&to, store, command)) {
                    Ok(_) => state = next.clone().expect("only a good command is answered so"),
                    Err(Failure::Refused(said)) => assert!(next.is_none(), "{said}"),
                    // The node is gone: what was asked last is under way, or never arrived.
                    Err(_) => return (state, next),
                }
                let _ = answered.send(());
            }
        });
        // Some answers, and then some part of a command.
        for _ in 0..random.below(4) {
            answers.recv_timeout(wait::PATIENCE).expect("commands are answered");
        }
        let moment = Instant::now() + Duration::from_micros(random.below(20_000) as u64);
        let left = || moment.saturating_duration_since(Instant::now());
        while answers.recv_timeout(left()).is_ok() && !left().is_zero() {}
        node.stop();
        let (last_answered, under_way) = stream.join().expect("the stream of commands is right");
        node.start_again();
        let found = seen(&node);
        state = match under_way.filter(|under_way| under_way.seen() == found) {
            Some(under_way) => {
                kept_under_way += usize::from(under_way != last_answered);
                under_way
            }
            None => last_answered,
        };
        assert_eq!(found, state.seen(), "kill {kill}");
        let leftovers = fs::read_dir(node.path("state/trust_stores")).unwrap().count();
        assert_eq!(leftovers, 1, "kill {kill}");
    }
    println!("{kept_under_way} of {kills} kills came after the rename and before the answer");
    node.assert_no_panic();
}

/// Starts what follows with a state directory of its own, on a disk of 64 KiB.
const ON_A_SMALL_DISK: [&str; 6] = [
    "unshare",
    "-Urm",
    "sh",
    "-ec",
    "state=$(dirname \"$4\")/state; mkdir -p \"$state\"; \
     mount -t tmpfs -o size=64k,mode=700 tmpfs \"$state\"; exec \"$@\"",
    "sh",
];

/// Whether this machine lets its users mount in a namespace of their own.
fn may_mount() -> bool {
    let scratch = Scratch::new("mount");
    let place = scratch.path().join("nothing");
    let command = ["true", "serve", "--config", place.to_str().expect("UTF-8")];
    tools::run("env", &[&ON_A_SMALL_DISK[..], &command].concat(), b"").code == Some(0)
}

#[test]
fn a_change_that_does_not_fit_on_the_disk_changes_nothing() {
    if !may_mount() {
        // Not by eprintln!, which is shown of failures alone.
        let skipped = "SKIPPED: a_change_that_does_not_fit_on_the_disk_changes_nothing: no namespaces \
                       to mount in";
        writeln!(std::io::stderr(), "{skipped}").expect("stderr is open");
        return;
    }
    let target = Target::named("hello");
    let node = node(Setup { under: ON_A_SMALL_DISK.into(), ..setup() }, &target);
    // The disk as the node sees it.
    let at = node.path("state/trust_stores");
    let at = PathBuf::from(format!("/proc/{}/root{}", node.id(), at.display()));
    let disk = || -> BTreeMap<_, _> {
        let entries = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
    };
    let add = |file: &str| {
        let path = node.path(file);
        node.trust("add-revocations", &["--trust-store", "partners", path.to_str().expect("UTF-8")])
    };
    let (before, kept, generation) = (seen(&node), disk(), node.generation());
    assert_eq!(kept.len(), 1);
    let ended = add("long.crl");
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    for word in ["partners.state.new: ", "No space left on device"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.said());
    }
    assert_eq!((seen(&node), disk(), node.generation()), (before, kept, generation));
    assert!(node.metric("portcullis_load_failures_total", &["reason=\"state\""]) > 0.5);
    add("seed.crl").success();
    assert_eq!(seen(&node).1.keys().copied().collect::<Vec<_>>(), [1, 2], "no id was used up");
    assert_eq!(disk().len(), 1);
}

/// A limit of a file's size: the kernel refuses to write.
#[test]
fn a_file_that_cannot_be_written_whole_changes_nothing() {
    let target = Target::named("hello");
    let under = vec!["prlimit", "--fsize=100000"];
    let mut node = node(Setup { under, ..setup() }, &target);
    let add = |node: &Node, file: &str| {
        let path = node.path(file);
        let path = path.to_str().expect("UTF-8");
        node.trust("add-revocations", &["--trust-store", "partners", path])
    };
    let before = seen(&node);
    let ended = add(&node, "long.crl");
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    for word in ["partners.state.new: ", "File too large"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.said());
    }
    assert_eq!(seen(&node), before);
    assert!(!node.path("state/trust_stores/partners.state.new").exists());
    assert!(node.metric("portcullis_load_failures_total", &["reason=\"state\""]) > 0.5);
    assert!(node.status()["last_reload"].is_null(), "the files are as good as they were");
    add(&node, "seed.crl").success();
    let after = seen(&node);
    assert_eq!(after.1.keys().copied().collect::<Vec<_>>(), [1, 2]);
    node.restart();
    assert_eq!(seen(&node), after);
}

#[test]
fn a_directory_that_cannot_be_written_changes_nothing() {
    let target = Target::named("hello");
    // To root, permissions are nothing without this.
    let under = match rustix::process::geteuid().is_root() {
        true => vec!["setpriv", "--bounding-set=-dac_override,-dac_read_search"],
        false => Vec::new(),
    };
    let mut node = node(Setup { under, ..setup() }, &target);
    let trust_stores = node.path("state/trust_stores");
    fs::set_permissions(&trust_stores, fs::Permissions::from_mode(0o500)).unwrap();
    let before = seen(&node);
    let arguments = ["--trust-store", "partners", "1"];
    let ended = node.trust("remove-revocations", &arguments);
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    for word in ["partners.state.new: ", "Permission denied"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.said());
    }
    assert_eq!(seen(&node), before);
    fs::set_permissions(&trust_stores, fs::Permissions::from_mode(0o700)).unwrap();
    node.restart();
    assert_eq!(seen(&node), before);
    node.trust("remove-revocations", &arguments).success();
}

#[test]
fn a_command_whose_client_hangs_up_is_carried_out_whole() {
    let target = Target::named("hello");
    let node = node(setup(), &target);
    let mut stream = UnixStream::connect(socket(&node)).unwrap();
    let request = "DELETE /trust_stores/partners/revocations?ids=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    drop(stream);
    wait::until("the list to be removed", || seen(&node).1.is_empty().then_some(()));

    // What did not arrive whole does not happen.
    let mut stream = UnixStream::connect(socket(&node)).unwrap();
    let request = "POST /trust_stores/partners/revocations HTTP/1.1\r\nHost: a\r\n\
                   Content-Length: 1000\r\n\r\nhalf";
    stream.write_all(request.as_bytes()).unwrap();
    drop(stream);
    let generation = node.generation();
    node.reload();
    assert_eq!(node.generation(), generation + 1);
    assert_eq!(
        named(&node.status()["trust_stores"], "partners")["revocations"],
        serde_json::json!([])
    );
}

/// Tens of MiB are uploaded, checked, kept and read again.
#[test]
fn a_large_list_goes_the_whole_way() {
    let target = Target::named("hello");
    let mut node = node(setup(), &target);
    let count = if long() { 1_000_000 } else { 50_000_u32 };
    let serial = |number: u32| [&[1; 16][..], &number.to_be_bytes()].concat();
    let serials: Vec<_> = (0..count).map(serial).collect();
    let serials: Vec<_> = serials.iter().map(Vec::as_slice).collect();
    node.write("large.crl", &pki().issuing.crl(&serials));
    let large = node.path("large.crl");
    let started = Instant::now();
    let arguments = ["--trust-store", "partners", large.to_str().expect("UTF-8")];
    node.trust("add-revocations", &arguments).success();
    let bytes = fs::metadata(&large).unwrap().len();
    println!("{bytes} bytes in {:?}; {} KiB resident", started.elapsed(), node.resident_kib());
    let expected = [(1, 0), (2, count as usize)].into();
    assert_eq!(seen(&node), (2, expected));
    node.restart();
    assert_eq!(seen(&node).1.get(&2), Some(&(count as usize)));
}

/// Goal: commands and reloads come one after the other. Method: many at once, each of which must count.
#[test]
fn commands_and_reloads_at_the_same_time_are_all_carried_out() {
    let target = Target::named("hello");
    let node = node(setup(), &target);
    let generation = node.generation();
    let (count, path) = (8, node.path("seed.crl"));
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let mut upload = Upload::default();
                upload.add(&path, 1_000_000);
                talk(client::change(&socket(&node), "partners", Command::AddRevocations(upload)))
                    .expect("the command is good");
            });
            scope.spawn(|| node.reload());
        }
    });
    assert_eq!(node.generation(), generation + 2 * count);
    let ids: Vec<u64> = seen(&node).1.into_keys().collect();
    assert_eq!(ids, (1..=1 + count).collect::<Vec<_>>());
}
