//! After a change is answered no verdict is taken by what was before, for or against (many threads, and
//! handshakes that straddle the answer).
use crate::support::client::{connect, tls_config_of};
use crate::support::node::piece;
use crate::support::pki::Leaf;
use crate::support::stop::StopOnDrop;
use crate::support::wait;
use crate::support::{Node, Setup, client, long, pki};
use arc_swap::ArcSwap;
use portcullis::config::load;
use portcullis::config::publish::{Line, Publisher};
use portcullis::config::snapshot::{Live, Order};
use portcullis::shard::judge::{HandshakeJudge, Verdict};
use portcullis::tls::verifier::Judge;
use portcullis::trust::Refusal;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;
use tokio::sync::mpsc;

const SERIAL: &[u8] = &[0x5e, 0x71];

/// A listener that answers itself, and the list `list.crl` beside the configuration.
fn configuration() -> String {
    let (bundle, crt, key) =
        (pki().path("partners.pem"), pki().path("server-wild.crt"), pki().path("server-wild.key"));
    let answer = "{type: fixed-response, fixed_response_config: {status_code: 204}}";
    [
        format!("certificates: [{{name: wild, chain: {crt}, key: {key}}}]\n"),
        format!(
            "trust_stores: [{{name: partners, ca_certificates_bundle: {bundle}, \
             revocations: [list.crl]}}]\n"
        ),
        "listeners:\n".to_owned(),
        // Some handshakes wait for a change.
        piece::https("https", &format!("certificates: [wild]\n{PATIENT}\n{}", piece::verify("")))
            .replace("{type: forward, target_group: targets}", answer),
    ]
    .concat()
}

/// The longest time that a handshake may be given.
const PATIENT: &str = "handshake_timeout_ms: 60000";

/// The list that names the client, or an empty one.
fn list(is_trusted: bool) -> String {
    pki().issuing.crl(if is_trusted { &[] } else { &[SERIAL] })
}

/// Odd generations trust the client.
fn is_trusted(generation: u64) -> bool {
    generation % 2 == 1
}

/// What the threads of the module test share.
#[derive(Default)]
struct Shared {
    live: Option<Arc<ArcSwap<Live>>>,
    /// The last generation whose change has been answered.
    answered: AtomicU64,
    stop: AtomicBool,
    attempts: AtomicUsize,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    /// Concluded differently than the handshake was told, because trust changed in between.
    turned: AtomicUsize,
}

/// Goal: design decision 6, where it is cheap to try often. Method: threads that do what a shard does,
/// orders between steps, and a publisher that flips trust as quickly as it gets its answers.
#[test]
fn no_verdict_is_taken_by_an_older_generation_than_the_last_answered_one() {
    let attempts_min = if long() { 1_000_000 } else { 20_000 };
    let scratch = crate::support::scratch::Scratch::new("publication");
    let states = [false, true].map(|state| state_of(scratch.path(), state));
    let live = Arc::new(ArcSwap::from_pointee(Live::empty()));
    let shared = Shared { live: Some(Arc::clone(&live)), ..Shared::default() };
    let issued = pki().issuing.issue(Leaf::client("flipped").with_serial(SERIAL));
    let chain = client::certificates(&(issued.certificate + &pki().issuing.pem()));
    thread::scope(|scope| {
        let (lines, orders): (Vec<_>, Vec<_>) = (0..4).map(|_| line()).unzip();
        let _stop = StopOnDrop(&shared.stop);
        for (index, orders) in orders.into_iter().enumerate() {
            let (shared, chain) = (&shared, &chain);
            let acknowledged = Arc::clone(&lines[index].acknowledged);
            scope.spawn(move || shared.serve(index, orders, &acknowledged, chain));
        }
        let mut publisher = Publisher::new(live, lines);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut enough_since = None;
        while !shared.stop.load(Ordering::Relaxed) {
            if shared.attempts.load(Ordering::Relaxed) >= attempts_min {
                // Threads that take long turns see few changes for their attempts, and more in time.
                let since = *enough_since.get_or_insert_with(Instant::now);
                if shared.has_seen_enough(attempts_min) || since.elapsed() > wait::PATIENCE {
                    break;
                }
            }
            let next = shared.answered.load(Ordering::Relaxed) + 1;
            let state = &states[usize::from(is_trusted(next))];
            let pending = publisher.publish(copy(state), || Ok(())).unwrap();
            let generation =
                runtime.block_on(pending.acknowledged(wait::PATIENCE)).expect("all threads answer");
            assert_eq!(generation, next);
            shared.answered.store(generation, Ordering::SeqCst);
        }
    });
    let [accepted, refused, turned] = shared.counts();
    let generations = shared.answered.load(Ordering::Relaxed);
    println!("{accepted} accepted, {refused} refused, {turned} turned, {generations} generations");
    assert!(shared.has_seen_enough(attempts_min));
}

impl Shared {
    /// Handshakes that were accepted, refused, and turned.
    fn counts(&self) -> [usize; 3] {
        [&self.accepted, &self.refused, &self.turned].map(|count| count.load(Ordering::Relaxed))
    }

    /// Whether there was enough of everything for the test to mean something.
    fn has_seen_enough(&self, attempts_min: usize) -> bool {
        let [accepted, refused, turned] = self.counts();
        let generations = self.answered.load(Ordering::Relaxed);
        accepted.min(refused) > attempts_min / 10 && turned > 0 && generations > 100
    }

    /// What a shard does: orders, one step of a connection, orders, the next step.
    fn serve(
        &self,
        index: usize,
        mut orders: mpsc::UnboundedReceiver<Order>,
        acknowledged: &AtomicU64,
        chain: &[CertificateDer<'_>],
    ) {
        // One that fails ends all.
        let _stop = StopOnDrop(&self.stop);
        let live = self.live.as_ref().unwrap();
        let mut adopt = || {
            while let Ok(Order::Adopt { live, done, .. }) = orders.try_recv() {
                acknowledged.store(live.generation, Ordering::Release);
                let _ = done.send(index);
            }
        };
        while !self.stop.load(Ordering::Relaxed) {
            let judge = HandshakeJudge::new(Arc::clone(live), "https".into(), None, Rc::default());
            adopt();
            if self.answered.load(Ordering::SeqCst) == 0 {
                continue;
            }
            let told = judge.judge(chain);
            self.check(&judge.taken().unwrap());
            if told.is_ok() {
                // Its Finished comes later, maybe after an order, maybe after the answer.
                adopt();
                let concluded = judge.conclude(chain).unwrap();
                self.check(&concluded);
                let count = if concluded.result.is_ok() { &self.accepted } else { &self.turned };
                count.fetch_add(1, Ordering::Relaxed);
            } else {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            self.attempts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The verdict is that of its generation, and at the end of its step no newer one is answered yet.
    fn check(&self, verdict: &Verdict) {
        let (generation, answered) = (verdict.generation, self.answered.load(Ordering::SeqCst));
        assert!(generation >= answered, "taken by {generation} after {answered} was answered");
        let expected = if is_trusted(generation) { None } else { Some(Refusal::CrlHit) };
        assert_eq!(verdict.result.as_ref().err(), expected.as_ref(), "generation {generation}");
    }
}

fn line() -> (Line, mpsc::UnboundedReceiver<Order>) {
    let (orders, receiver) = mpsc::unbounded_channel();
    (Line { orders, acknowledged: Arc::default(), cpu: 0 }, receiver)
}

fn state_of(directory: &Path, is_trusted: bool) -> Live {
    std::fs::write(directory.join("list.crl"), list(is_trusted)).unwrap();
    let file = directory.join("portcullis.yaml");
    std::fs::write(&file, "admin: {bind: \"unix:s.sock\"}\n".to_owned() + &configuration())
        .unwrap();
    load::look(&file).map(|loaded| loaded.live).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The same again, for another publication.
fn copy(live: &Live) -> Live {
    Live {
        listeners: live.listeners.clone(),
        trust_stores: live.trust_stores.clone(),
        certificates: live.certificates.clone(),
        ..Live::empty()
    }
}

/// Threads that shake hands.
const CLIENTS: usize = 8;

/// What the threads of the live test share.
struct Flips {
    address: SocketAddr,
    configs: [Arc<ClientConfig>; 2],
    /// The last generation that was answered.
    answered: AtomicU64,
    /// Changes that were begun, and that were answered.
    begun: AtomicUsize,
    ended: AtomicUsize,
    next: AtomicUsize,
    /// Clients that wait for a change.
    waiting: AtomicUsize,
}

/// One handshake, as its client saw it.
struct Attempt {
    /// The last answered generation before the client sent its certificate.
    answered: u64,
    /// No change was under way from then to the end.
    is_quiet: bool,
    is_served: bool,
    is_straddling: bool,
}

/// Goal: the same of the whole node. Method: each handshake names itself by its server name, and the
/// connection log says by which generation it was judged.
#[test]
fn live_handshakes_are_judged_by_the_last_answered_change_or_a_newer_one() {
    // Both engines make 20,000.
    let count = 10_000;
    let setup = Setup { shards: 2, format: "json", ..Setup::default() };
    let node = Node::with_files(setup, &configuration(), &[("list.crl", &list(true))]);
    let issued = pki().issuing.issue(Leaf::client("flipped").with_serial(SERIAL));
    let first = node.generation();
    // What each answered generation says. The node may look at the changed file by itself as well, so that
    // generations come between: of those all verdicts must agree.
    let mut trusts = BTreeMap::from([(first, true)]);
    let flips = Flips {
        address: node.address("https"),
        configs: [&TLS12, &TLS13].map(|version| Arc::new(tls_config_of(&issued, &[version]))),
        answered: AtomicU64::new(first),
        begun: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
        next: AtomicUsize::new(0),
        waiting: AtomicUsize::new(0),
    };
    let attempts = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| flips.attempts(count))).collect();
        while clients.iter().any(|client| !client.is_finished()) {
            let change = flips.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let is_trusted = change.is_multiple_of(2);
            node.write("list.crl", &list(is_trusted));
            node.reload();
            let generation = node.generation();
            trusts.insert(generation, is_trusted);
            flips.answered.store(generation, Ordering::SeqCst);
            flips.ended.store(change, Ordering::SeqCst);
            // Some are to be judged between two changes.
            let begun = flips.next.load(Ordering::Relaxed);
            wait::until("handshakes, or half of the clients to wait for a change", || {
                let next = flips.next.load(Ordering::Relaxed);
                let are_some = next > begun + 2 * CLIENTS;
                let are_waiting = flips.waiting.load(Ordering::Relaxed) > CLIENTS / 2;
                let are_over = next >= count;
                (are_some || are_waiting || are_over).then_some(())
            });
        }
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<BTreeMap<_, _>>()
    });
    assert_eq!(attempts.len(), count);
    wait::until("a log line for each", || (node.log().len() >= count).then_some(()));
    let (mut seen, mut served, mut refused, mut straddling, mut quiet) = (0, 0, 0, 0, 0);
    for line in node.log() {
        let line: Value = serde_json::from_str(&line).unwrap();
        let name = line["server_name"].as_str().expect("each gives its name");
        let index: usize = name.trim_start_matches('a').split('.').next().unwrap().parse().unwrap();
        let attempt = &attempts[&index];
        let generation = line["generation"].as_u64().unwrap();
        assert!(generation >= attempt.answered, "{line}: {} was answered", attempt.answered);
        let is_success = line["tls_verify_status"] == "Success";
        assert!(is_success || line["tls_verify_status"] == "Failed:ClientCertCrlHit", "{line}");
        assert_eq!(*trusts.entry(generation).or_insert(is_success), is_success, "{line}");
        // A request after the verdict is judged once more, by what came meanwhile.
        assert!(is_success || !attempt.is_served, "{line}");
        assert!(attempt.is_served == is_success || !attempt.is_quiet, "{line}");
        seen += 1;
        served += usize::from(attempt.is_served);
        refused += usize::from(!is_success);
        straddling += usize::from(attempt.is_straddling);
        quiet += usize::from(attempt.is_quiet);
    }
    let said =
        format!("{served} served, {refused} refused, {straddling} straddling, {quiet} quiet");
    println!("{said}, {} generations", trusts.len());
    assert_eq!(seen, count);
    assert!(served.min(refused) > count / 10 && straddling == count / 10 && quiet > 0, "{said}");
    node.assert_no_panic();
}

impl Flips {
    /// One thread's share.
    fn attempts(&self, count: usize) -> Vec<(usize, Attempt)> {
        let mut attempts = Vec::new();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return attempts;
            }
            attempts.push((index, self.attempt(index)));
        }
    }

    /// One handshake and one request. Every tenth waits for an answered change between its ClientHello and
    /// its certificate.
    fn attempt(&self, index: usize) -> Attempt {
        let name = ServerName::try_from(format!("a{index}.example.com")).unwrap();
        let config = Arc::clone(&self.configs[index % 2]);
        let mut tls = ClientConnection::new(config, name).unwrap();
        let mut stream = connect(self.address);
        tls.write_tls(&mut stream).unwrap();
        while !tls.wants_write() {
            assert!(tls.read_tls(&mut stream).unwrap() > 0, "the server's part of the handshake");
            tls.process_new_packets().unwrap();
        }
        let is_straddling = index % 10 == 3;
        if is_straddling {
            let before = self.answered.load(Ordering::SeqCst);
            self.waiting.fetch_add(1, Ordering::Relaxed);
            wait::until("the next answer", || {
                (self.answered.load(Ordering::SeqCst) > before).then_some(())
            });
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        let changes = self.ended.load(Ordering::SeqCst);
        let answered = self.answered.load(Ordering::SeqCst);
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let mut answer = Vec::new();
        let mut tls = rustls::StreamOwned::new(tls, stream);
        // A refusal may come at each of these steps.
        let _ = tls.write_all(request).and_then(|()| tls.read_to_end(&mut answer));
        let is_served = answer.starts_with(b"HTTP/1.1 204");
        let is_quiet = self.begun.load(Ordering::SeqCst) == changes;
        Attempt { answered, is_quiet, is_served, is_straddling }
    }
}
