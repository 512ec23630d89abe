//! `portcullis demo`: every printed command shows what it says when pasted, and Ctrl-C ends it cleanly.
use crate::support::node::BINARY;
use crate::support::{tools, wait};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

/// A demo that runs; killed when a test fails.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_printed_command_shows_what_it_says() {
    let child = Command::new(BINARY)
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut demo = Demo(child);
    let banner = banner(&mut demo.0);
    let directory = banner.iter().find_map(|line| line.split_once("removes ")).expect("it says so");
    let directory = PathBuf::from(directory.1.trim_end_matches('.').trim_matches('\''));
    assert!(directory.is_dir(), "{banner:#?}");

    // `# title: expectation`, and the command on the next line.
    let commands: Vec<(&str, &str)> = banner
        .windows(2)
        .filter_map(|pair| Some((pair[0].strip_prefix("# ")?, pair[1].strip_prefix("  ")?)))
        .filter(|(_, command)| command.starts_with("curl "))
        .collect();
    assert!(commands.len() >= 8, "{banner:#?}");
    for (title, command) in &commands {
        let ended = tools::run("bash", &["-c", command], b"");
        let said = ended.said();
        let case = format!("{title}\n{command}\n{said}");
        let (_, expected) = title.rsplit_once(": ").unwrap_or((title, ""));
        if let Some(alert) = expected.strip_prefix("refused, ") {
            assert_ne!(ended.code, Some(0), "{case}");
            assert!(ended.stderr.contains(alert), "{case}");
        } else if let Some(shown) = expected.strip_prefix("shows ") {
            assert_eq!(ended.code, Some(0), "{case}");
            let (with, without) = shown.split_once(", and no ").unwrap_or((shown, "\0"));
            assert!(ended.stdout.contains(with), "{case}");
            assert!(!ended.stdout.contains(without), "{case}");
        } else {
            panic!("{title} says nothing to expect");
        }
    }

    let id = Pid::from_child(&demo.0);
    kill_process(id, Signal::INT).expect("the demo is our child");
    let status = wait::until("the demo to end", || demo.0.try_wait().expect("it is our child"));
    assert_eq!(status.code(), Some(0));
    assert!(!directory.exists(), "{} is removed", directory.display());
}

/// The lines that the demo prints; the last is how to read its configuration.
fn banner(child: &mut Child) -> Vec<String> {
    let stdout = child.stdout.take().expect("stdout is piped");
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut banner: Vec<String> = Vec::new();
    while !banner.last().is_some_and(|line| line.starts_with("  cat ")) {
        let line = lines.recv_timeout(wait::PATIENCE);
        banner.push(line.unwrap_or_else(|_| panic!("the demo says no more: {banner:#?}")));
    }
    banner
}
