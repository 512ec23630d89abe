//! The files of the logs: reopened, rotated by size, and what a slow disk costs.
use crate::support::log_lines::{ATHENA_CONNECTION, AccessLine};
use crate::support::node::piece;
use crate::support::{Client, Node, Setup, wait};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

/// A listener that answers each request itself.
fn configuration() -> String {
    "load_balancer: {name: edge}\nlisteners:\n".to_owned()
        + &piece::http("fixed", "").replace(
            "{type: forward, target_group: targets}",
            "{type: fixed-response, fixed_response_config: {status_code: 204}}",
        )
}

fn node(logs: &str) -> Node {
    let logs = logs.to_owned();
    Node::with(Setup { logs, shards: 2, ..Setup::default() }, &configuration())
}

/// A request whose line is long: each byte of its User-Agent takes four.
fn request(number: usize) -> String {
    let agent = "\"".repeat(8 * 1024);
    format!("GET /{number} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n")
}

/// Asks for `/0` up to `/count`, over several connections at once.
fn ask(address: SocketAddr, count: usize) {
    const CLIENTS: usize = 4;
    let clients = (0..CLIENTS).map(|client| {
        thread::spawn(move || {
            let mut connection = Client::plain(address);
            for number in (client..count).step_by(CLIENTS) {
                assert_eq!(connection.ask(&request(number)).status, 204);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

/// The number that a line's request asked for.
fn number(line: &str) -> usize {
    let line = AccessLine::read(line);
    let path = line.field(13).split(' ').nth(1).unwrap().rsplit('/').next();
    path.unwrap().parse().unwrap()
}

/// That these lines are one for each number, and whole.
fn assert_each_once(lines: &[String], count: usize) {
    let numbers: HashSet<usize> = lines.iter().map(|line| number(line)).collect();
    assert_eq!((lines.len(), numbers.len()), (count, count));
    assert!(numbers.iter().all(|number| *number < count));
}

#[test]
fn logs_that_were_moved_away_go_on_under_their_names_after_sigusr1() {
    let node = node(", access: access.log");
    let address = node.address("fixed");
    ask(address, 8);
    let logs = ["access.log", "connection.log"];
    let moved = logs.map(|log| format!("{log}.moved"));
    for (log, moved) in logs.iter().zip(&moved) {
        wait::until("its lines", || (!node.lines_of(log).is_empty()).then_some(()));
        fs::rename(node.path(log), node.path(moved)).unwrap();
    }
    node.signal(Signal::USR1);
    for log in logs {
        wait::until("the new file", || node.path(log).exists().then_some(()));
    }
    ask(address, 8);
    wait::until("16 lines", || {
        let lines = [&moved[0], "access.log"].map(|file| node.lines_of(file).len());
        (lines.iter().sum::<usize>() == 16 && lines[1] > 0).then_some(())
    });
    wait::until("8 lines", || {
        let lines = [&moved[1], "connection.log"].map(|file| node.lines_of(file).len());
        (lines.iter().sum::<usize>() == 8 && lines[1] > 0).then_some(())
    });
    assert!(node.log().iter().all(|line| ATHENA_CONNECTION.is_match(line)));
}

/// Goal: files that make way under load lose and tear nothing, and none grows beyond its size. Method:
/// twelve files' worth of lines, from several clients at once.
#[test]
fn files_make_way_by_size_and_lose_nothing() {
    const MEBIBYTE: u64 = 1024 * 1024;
    let node = node(", access: {path: access.log, rotate_bytes: 1048576, rotate_keep: 50}");
    ask(node.address("fixed"), 400);
    let files = || {
        let numbered = (1..=50).map(|number| format!("access.log.{number}"));
        let all = std::iter::once("access.log".to_owned()).chain(numbered);
        all.filter(|file| node.path(file).exists()).collect::<Vec<_>>()
    };
    let lines = || files().iter().flat_map(|file| node.lines_of(file)).collect::<Vec<_>>();
    wait::until("all lines", || (lines().len() >= 400).then_some(()));
    assert_each_once(&lines(), 400);
    let files = files();
    assert!(files.len() > 10, "{files:?}");
    for file in &files {
        let size = fs::metadata(node.path(file)).unwrap().len();
        assert!(size <= MEBIBYTE, "{file} has {size} bytes");
        assert!(file == "access.log" || size > MEBIBYTE / 2, "{file} has {size} bytes");
    }
    // The last one is the newest.
    let newest = node.lines_of("access.log").iter().map(|line| number(line)).max().unwrap();
    let oldest =
        node.lines_of(files.last().unwrap()).iter().map(|line| number(line)).max().unwrap();
    assert!(oldest < newest, "{oldest} {newest}");
}

#[test]
fn only_so_many_files_are_kept() {
    let mut node = node(", access: {path: access.log, rotate_bytes: 1048576, rotate_keep: 2}");
    ask(node.address("fixed"), 200);
    wait::until("the last line", || {
        let last = node.lines_of("access.log").iter().any(|line| number(line) >= 196);
        last.then_some(())
    });
    assert!(node.metric("portcullis_log_lines_dropped_total", &[]) < 0.5, "old files are no loss");
    // Nothing makes way any more.
    node.signal(Signal::TERM);
    assert!(node.ended().success());
    let exists = |number: u32| node.path(&format!("access.log.{number}")).exists();
    assert_eq!([1, 2, 3].map(exists), [true, true, false]);
}

/// A directory with a pipe, open for reading; a node's log goes there.
fn pipe(name: &str) -> (PathBuf, File) {
    let path = std::env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
    // Of a test that failed, in a process of the same number.
    let _ = fs::remove_file(&path);
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    // Opened for both, so that neither this nor the node waits for the other.
    let reader = File::options().read(true).write(true).open(&path).unwrap();
    (path, reader)
}

/// Requests whose lines take more than the backlog (16 MiB) and a pipe's room.
const TOO_MANY: usize = 800;

#[test]
fn a_disk_that_is_too_slow_costs_lines_and_nobody_time() {
    let (path, reader) = pipe("drop");
    let logs = format!(", access: {}", path.display());
    let node = node(&logs);
    // Nobody reads, and all are served.
    ask(node.address("fixed"), TOO_MANY);
    let labels = ["log=\"access\""];
    let dropped = wait::until("lines to be dropped", || {
        let dropped = node.metric("portcullis_log_lines_dropped_total", &labels);
        (dropped > 0.5).then_some(dropped)
    });
    assert!(dropped < TOO_MANY as f64, "{dropped}");
    assert!(node.metric("portcullis_log_backlog_bytes", &labels) > 15e6);
    assert!(node.metric("portcullis_log_blocked_seconds_total", &labels) < 1e-9);
    assert!(node.metric("portcullis_log_lines_dropped_total", &["log=\"connection\""]) < 0.5);
    // What was not dropped is whole.
    let mut lines = BufReader::new(reader).lines();
    for _ in 0..100 {
        AccessLine::read(&lines.next().unwrap().unwrap());
    }
    fs::remove_file(path).unwrap();
}

#[test]
fn under_block_a_disk_that_is_too_slow_costs_time_and_no_line() {
    let (path, reader) = pipe("block");
    let logs = format!(", access: {{path: {}, when_full: block}}", path.display());
    let mut node = node(&logs);
    let address = node.address("fixed");
    let asking = thread::spawn(move || ask(address, TOO_MANY));
    let labels = ["log=\"access\""];
    wait::until("the backlog to be full", || {
        (node.metric("portcullis_log_backlog_bytes", &labels) > 16e6).then_some(())
    });
    let served = || node.metric("portcullis_http_responses_total", &["status_class=\"2xx\""]);
    let (mut before, mut looks) = (served(), 0);
    wait::until("shards to stand still", || {
        let now = served();
        looks = if now > before { 0 } else { looks + 1 };
        before = now;
        (looks > 100).then_some(())
    });
    assert!(before < TOO_MANY as f64, "{before} requests were served");
    assert_eq!(node.probe("/readyz"), Some(200), "only they do");
    let lines = thread::spawn(move || {
        let lines = BufReader::new(reader).lines().take(TOO_MANY);
        lines.map(|line| line.unwrap()).collect::<Vec<_>>()
    });
    asking.join().unwrap();
    assert_each_once(&lines.join().unwrap(), TOO_MANY);
    assert!(node.metric("portcullis_log_lines_dropped_total", &labels) < 0.5);
    assert!(node.metric("portcullis_log_blocked_seconds_total", &labels) > 0.0);
    node.signal(Signal::TERM);
    assert!(node.ended().success());
    fs::remove_file(path).unwrap();
}

/// What shards still hold is handed over at their end.
#[test]
fn no_line_is_lost_when_the_node_ends() {
    let mut node = node(", access: access.log");
    ask(node.address("fixed"), 40);
    node.signal(Signal::TERM);
    assert!(node.ended().success());
    assert_each_once(&node.lines_of("access.log"), 40);
    assert_eq!(node.log().len(), 4);
}
