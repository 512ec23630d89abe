//! Where the kernel refuses io_uring, `auto` falls back to epoll and says so; `io_uring` does not start.
//!
//! A seccomp filter of this test's own makes the refusal, as container runtimes do; it holds for one
//! thread and what that thread starts.
use crate::support::node::{BINARY, piece};
use crate::support::scratch::Scratch;
use crate::support::{Client, Node, Setup, Target, target, tools};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::collections::BTreeMap;
use std::fs;
use std::thread;

/// Runs `work` on a thread for which, and for whose children, io_uring_setup(2) fails with EPERM.
fn without_io_uring<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let work = move || {
        let calls = BTreeMap::from([(libc::SYS_io_uring_setup, Vec::new())]);
        let refused = SeccompAction::Errno(libc::EPERM as u32);
        let arch = std::env::consts::ARCH.try_into().expect("seccompiler knows this machine");
        let filter = SeccompFilter::new(calls, SeccompAction::Allow, refused, arch);
        let program: BpfProgram = filter.expect("the filter is valid").try_into().unwrap();
        apply_filter(&program).expect("this kernel has seccomp");
        work()
    };
    thread::spawn(work).join().expect("the test's thread ends well")
}

#[test]
fn auto_falls_back_to_epoll_with_one_log_line_and_a_metric() {
    let target = Target::named("hello");
    let configuration =
        [piece::targets(&[target.entry()]), "listeners:\n".to_owned(), piece::http("plain", "")]
            .concat();
    let setup = Setup { io: "auto".into(), engine: "epoll".into(), shards: 2, ..Setup::default() };
    let node = without_io_uring(move || Node::with(setup, &configuration));
    assert_eq!(Client::plain(node.address("plain")).get("/").status, 200);
    let log = node.stderr();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("io_uring")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("epoll"), "{told:?}");
    assert!((node.metric("portcullis_io_uring_refused", &[]) - 1.0).abs() < 0.1);
    assert!((node.metric("portcullis_io_engine", &["engine=\"epoll\""]) - 1.0).abs() < 0.1);
}

#[test]
fn io_uring_or_nothing_ends_with_a_sentence() {
    let scratch = Scratch::new("engines");
    let file = scratch.path().join("portcullis.yaml");
    let text = [
        "node: {io: io_uring}\nadmin: {bind: \"unix:portcullis.sock\"}\n".to_owned(),
        piece::targets(&[target::nobody().entry()]),
        "listeners:\n".to_owned(),
        piece::http("plain", ""),
    ];
    fs::write(&file, text.concat()).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let ended = without_io_uring(move || tools::run(BINARY, &["serve", "--config", &path], b""));
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    assert!(ended.said().contains("io_uring"), "{}", ended.said());
    assert!(!ended.said().contains("panicked"), "{}", ended.said());
}
