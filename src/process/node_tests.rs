//! A node whose shards are the test.
use super::*;
use crate::config::snapshot::Order;
use crate::config::state::File;
use crate::net::Engine;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use std::fs;
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

/// Goal: a shard that does not answer is named, and what it is late for is made all the same. Method: a
/// shard that takes its orders and says nothing.
#[tokio::test]
async fn a_late_shard_is_named_and_the_change_stays_made() {
    let directory = std::env::temp_dir().join(format!("portcullis-late-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("portcullis.yaml"), CONFIGURATION).unwrap();
    fs::write(directory.join("ca.pem"), ca("A")).unwrap();
    let path = directory.join("portcullis.yaml");
    let mut loaded = load::load(&path, None).unwrap();
    let (first, staged) = loaded.take();
    let live = Arc::new(ArcSwap::from_pointee(Live::empty()));
    let line = |acknowledged| {
        let (orders, received) = mpsc::unbounded_channel();
        (Line { orders, acknowledged: Arc::new(AtomicU64::new(acknowledged)), cpu: 0 }, received)
    };
    // The first shard is ahead of everything, the second behind.
    let ((prompt, _prompt), (late, mut late_orders)) = (line(u64::MAX), line(0));
    let mut publisher = Publisher::new(Arc::clone(&live), vec![prompt, late]);
    publisher.publish(first, || state::commit(staged)).unwrap();
    let parts = Parts {
        chosen: Chosen { engine: Engine::Epoll, refused: None },
        live: Arc::clone(&live),
        board: Board::new(2),
        resolver: Resolver::default(),
        publisher,
    };
    let node = Node::new(path.clone(), loaded, parts);
    let bundle = File { name: "both.pem".to_owned(), bytes: (ca("A") + &ca("B")).into() };
    let change = Change::Replace { bundle, revocations: None };
    let result = node.change_trust("partners".to_owned(), change).await;
    let expected = ReloadError::NotAcknowledged { generation: 2, late_shards: vec![1] };
    assert_eq!(result, Err(expected));

    assert_eq!(live.load().trust_stores["partners"].bundle.ca_count(), 2, "it is live");
    let mut ordered = Vec::new();
    while let Ok(Order::Adopt { live, .. }) = late_orders.try_recv() {
        ordered.push(live.generation);
    }
    assert_eq!(ordered, [1, 2], "and waits for the shard");
    assert!(node.status()["last_reload"].is_null(), "no files were read");
    let counted = "portcullis_reloads_total{outcome=\"not_acknowledged\"} 1";
    assert!(node.metrics().contains(counted), "{}", node.metrics());
    drop(node);
    let restarted = load::load(&path, None).unwrap();
    assert_eq!(restarted.live.trust_stores["partners"].bundle.ca_count(), 2, "and is kept");
    fs::remove_dir_all(directory).unwrap();
}

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
