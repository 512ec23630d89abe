//! A node whose shards are the test.
use super::super::Parts;
use super::*;
use crate::api::Control;
use crate::config::publish::Line;
use crate::config::scratch::Scratch;
use crate::config::snapshot::{Live, Order};
use crate::config::state::File;
use crate::net::{Chosen, Engine};
use crate::observe::metrics::Board;
use crate::target::Resolver;
use arc_swap::ArcSwap;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use std::sync::atomic::AtomicU64;
use std::thread::{self, ThreadId};
use tokio::sync::{mpsc, oneshot};

const CONFIGURATION: &str = "\
node: {state_dir: state, io: epoll}
trust_stores: [{name: partners, source: api, ca_certificates_bundle: ca.pem}]
listeners:
  - {name: http, bind: 127.0.0.1:0, protocol: HTTP, default_actions: [{type: fixed-response, \
fixed_response_config: {status_code: 200}}]}
";

fn ca(name: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// A node of two shards: the first is ahead of everything, the second takes its orders and says nothing.
struct Site {
    node: Node,
    _directory: Scratch,
    _prompt: mpsc::UnboundedReceiver<Order>,
    late: mpsc::UnboundedReceiver<Order>,
}

impl Site {
    fn new() -> Self {
        let directory = Scratch::new();
        let path = directory.write("portcullis.yaml", CONFIGURATION);
        directory.write("ca.pem", ca("A"));
        let mut loaded = load::load(&path, None).unwrap();
        let (first, staged) = loaded.take();
        let live = Arc::new(ArcSwap::from_pointee(Live::empty()));
        let line = |acknowledged| {
            let (orders, received) = mpsc::unbounded_channel();
            let acknowledged = Arc::new(AtomicU64::new(acknowledged));
            (Line { orders, acknowledged, cpu: 0 }, received)
        };
        let ((prompt, _prompt), (slow, late)) = (line(u64::MAX), line(0));
        let mut publisher = Publisher::new(Arc::clone(&live), vec![prompt, slow]);
        publisher.publish(first, || state::commit(staged)).unwrap();
        let chosen = Chosen { engine: Engine::Epoll, refused: None };
        let (board, resolver) = (Board::new(2), Resolver::default());
        // Nobody will say anything, so there is nothing to wait for.
        let acknowledged_within = Duration::ZERO;
        let parts = Parts { chosen, live, board, resolver, publisher, acknowledged_within };
        let node = Node::new(path, loaded, parts);
        Self { node, _directory: directory, _prompt, late }
    }
}

/// Goal: a shard that does not answer is named, and what it is late for is made all the same.
#[tokio::test]
async fn a_late_shard_is_named_and_the_change_stays_made() {
    let mut site = Site::new();
    let node = &site.node;
    let bundle = File { name: "both.pem".to_owned(), bytes: (ca("A") + &ca("B")).into() };
    let change = Change::Replace { bundle, revocations: None };
    let result = node.change_trust("partners".to_owned(), change).await;
    let expected = ReloadError::NotAcknowledged { generation: 2, late_shards: vec![1] };
    assert_eq!(result, Err(expected));

    assert_eq!(node.live.load().trust_stores["partners"].bundle.ca_count(), 2, "it is live");
    let mut ordered = Vec::new();
    while let Ok(Order::Adopt { live, .. }) = site.late.try_recv() {
        ordered.push(live.generation);
    }
    assert_eq!(ordered, [1, 2], "and waits for the shard");
    assert!(node.status()["last_reload"].is_null(), "no files were read");
    let counted = "portcullis_reloads_total{outcome=\"not_acknowledged\"} 1";
    assert!(node.metrics().contains(counted), "{}", node.metrics());
    let kept = site.node.state.as_ref().unwrap().read("partners").unwrap().unwrap();
    assert_eq!(kept.contents().bundle().name, "both.pem", "and is kept");
}

/// Goal: a slow disk takes nothing from the time of the shards, and one that fails does not hide that some
/// of them are late. Method: a disk that fails once the shards have been given up on, and not before.
#[tokio::test]
async fn shards_and_disk_are_waited_for_at_once_and_both_are_told() {
    let site = Site::new();
    let node = &site.node;
    let pending = node.changing.lock().await.publisher.publish(Live::empty(), || Ok(())).unwrap();
    let disk = async {
        let given_up = "portcullis_swap_seconds_count{phase=\"acknowledge\"} 1";
        while !node.metrics().contains(given_up) {
            tokio::task::yield_now().await;
        }
        Err("no disk".to_owned())
    };
    let confirmed = tokio::time::timeout(PATIENCE, node.confirmed(pending, disk)).await;
    let expected = ReloadError::NotDurable {
        generation: 2,
        error: "no disk".to_owned(),
        late_shards: vec![1],
    };
    assert_eq!(confirmed.expect("nobody waits for the other"), Err(expected));
}

/// Spent on a failure alone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells which thread frees it.
struct Freed(Option<oneshot::Sender<ThreadId>>);

impl Drop for Freed {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(thread::current().id());
    }
}

#[tokio::test]
async fn a_past_generation_is_freed_by_the_control_thread() {
    let (sender, mut freed) = oneshot::channel();
    let past = Arc::new(Freed(Some(sender)));
    let held = Arc::clone(&past);
    let outliving = tokio::spawn(outlive(past));
    tokio::task::yield_now().await;
    assert!(freed.try_recv().is_err(), "a handshake still works by it");
    thread::spawn(move || drop(held)).join().unwrap();
    outliving.await.unwrap();
    assert_eq!(freed.try_recv(), Ok(thread::current().id()));
}
