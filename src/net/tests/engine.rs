//! A shard's event loop: tasks, other threads, its end; and which engine a node gets.
use super::connect::full_listener;
use super::*;
use crate::close::Reason;
use seccompiler::{SeccompAction, SeccompFilter};
use std::cell::Cell;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::mpsc;
use tokio::task::JoinHandle;

on_both_engines! {
    a_panic_in_a_task_leaves_the_shard_running
    another_thread_wakes_a_waiting_task
}

async fn a_panic_in_a_task_leaves_the_shard_running() {
    let (client, server) = pair().await;
    let failing = server.clone();
    let task: JoinHandle<()> = spawn(async move {
        receive(&failing).await;
        panic!("on purpose, by a test");
    });
    send(&client, b"go").await;
    assert!(task.await.unwrap_err().is_panic());
    send(&client, b"still here").await;
    assert_eq!(receive(&server).await, b"still here");
}

async fn another_thread_wakes_a_waiting_task() {
    let (say, mut heard) = tokio::sync::watch::channel(0);
    let (waiting, is_waiting) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        while is_waiting.recv().is_ok() {
            say.send_modify(|turn| *turn += 1);
        }
    });
    for turn in 1..=100 {
        waiting.send(()).unwrap();
        heard.changed().await.unwrap();
        assert_eq!(*heard.borrow_and_update(), turn);
    }
    drop(waiting);
    thread.join().unwrap();
}

/// Tasks and operations that are left over when `main` is done are dropped while buffers and deadlines
/// are still there.
#[test]
fn a_shard_ends_with_everything_pending() {
    for engine in [Engine::IoUring, Engine::Epoll] {
        let inodes = Rc::new(Cell::new(HashSet::new()));
        let noted = Rc::clone(&inodes);
        shard(engine, || async move {
            let (listener, address) = listen(loopback(0), &options());
            let (client, server) = pair().await;
            let (_full, full_address, waiting) = full_listener().await;
            noted.set([&client, &server].into_iter().chain(&waiting).map(inode).collect());
            server.arm(HANG, Reason::Idle);
            spawn(async move { listener.accept().await.map(drop) });
            spawn(async move { client.recv(Buf::take()).await.0 });
            spawn(async move { server.readable().await });
            spawn(async move { connect(full_address, HANG).await.map(drop) });
            settle().await;
            drop(TcpStream::connect(address).unwrap());
        });
        assert!(open_inodes().is_disjoint(&inodes.take()), "{engine:?}");
    }
}

#[test]
fn a_panic_in_main_leaves_the_thread_usable() {
    for engine in [Engine::IoUring, Engine::Epoll] {
        let panicked = std::panic::catch_unwind(|| {
            shard(engine, || async {
                let (client, _server) = pair().await;
                spawn(async move { client.recv(Buf::take()).await.0 });
                panic!("on purpose, by a test");
            });
        });
        assert!(panicked.is_err());
        shard(engine, || async { drop(pair().await) });
    }
}

/// What a container's seccomp profile does, for a thread of this test alone.
fn with_io_uring_refused(calls: &[i64], test: impl FnOnce() + Send + 'static) {
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    let thread = std::thread::spawn(move || {
        seccompiler::apply_filter(&program).unwrap();
        test();
    });
    thread.join().unwrap();
}

#[test]
fn a_refused_ring_is_noticed_whether_it_is_made_or_entered() {
    for calls in [&[libc::SYS_io_uring_setup][..], &[libc::SYS_io_uring_enter]] {
        with_io_uring_refused(calls, || {
            let chosen = choose(Io::Auto).unwrap();
            assert_eq!(chosen.engine, Engine::Epoll);
            assert_eq!(chosen.refused.unwrap().raw_os_error(), Some(libc::EPERM));
            assert_eq!(choose(Io::IoUring).unwrap_err().raw_os_error(), Some(libc::EPERM));
            shard(Engine::Epoll, || async { drop(pair().await) });
        });
    }
    with_io_uring_refused(&[libc::SYS_io_uring_setup], || {
        assert!(run(Engine::IoUring, || async {}).is_err());
    });
}

#[test]
fn io_uring_is_chosen_where_nothing_refuses_it() {
    let chosen = choose(Io::Auto).unwrap();
    assert_eq!(chosen.engine, Engine::IoUring, "{:?}", chosen.refused);
}
