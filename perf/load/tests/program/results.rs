//! What a run leaves behind: the table, the JSON, the page, the line on a terminal.
use crate::pki::Pki;
use crate::program::{command, load, run, sentence};
use crate::secure_server::{OK, send, serve};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;

#[test]
fn a_page_has_everything_in_it() {
    let pki = Pki::new();
    let address = serve(&pki, None, |request, stream| match request.connection % 3 {
        1 => send(stream, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        _ => send(stream, OK),
    });
    let file = pki.path("load.html");
    let more = ["--count", "60", "--report", &file];
    load(&pki, "handshake", address, &more).failure();
    let page = fs::read_to_string(&file).unwrap();
    for part in
        ["<svg", "Throughput", "Latency by percentile", "Errors by reason", "status 503", "99 %"]
    {
        assert!(page.contains(part), "{part}");
    }
    for from_elsewhere in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
    }
}

/// `script` of util-linux is the terminal.
#[test]
fn a_terminal_sees_how_it_goes() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let line = format!(
        "{} handshake --connect {address} --insecure --rate 10 --duration 4.5 --count 1000",
        env!("CARGO_BIN_EXE_portcullis-load")
    );
    let output =
        Command::new("script").args(["-q", "-e", "-c", &line, "/dev/null"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    // A busy machine may miss a second or two.
    let is_shown = |second: u32| shown.contains(&format!("\r    {second} of 4.5 s  "));
    assert!((1..=4).any(is_shown) && shown.contains(" of 1000 done  "), "{shown}");
    assert!(shown.contains("45 done"), "{shown}");
}

/// Ctrl-C, as soon as the server has seen some: what there is, is told.
#[test]
fn whoever_interrupts_gets_what_there_is() {
    let pki = Pki::new();
    let (seen, come) = channel();
    let seen = Mutex::new(seen);
    let address = serve(&pki, None, move |_, stream| {
        send(stream, OK);
        let _ = seen.lock().unwrap().send(());
    });
    let mut run = command(&["handshake", "--connect", &address.to_string(), "--insecure"]);
    run.args(["--duration", "600"]).stdout(Stdio::piped());
    let child = run.spawn().unwrap();
    for _ in 0..10 {
        come.recv_timeout(crate::wait::PATIENCE).unwrap();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains(" done "));
}

#[test]
fn a_file_that_cannot_be_made_is_told_before_there_is_load() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    for option in ["--report", "--json"] {
        // A directory that there is, where not even root may make a file.
        for file in ["/nowhere/file", "/proc/file"] {
            let known = ["handshake", "--connect", &address, "--insecure", option, file];
            let output = run(&known);
            let text = sentence(&output);
            assert!(text.contains(&format!("{file}: ")) && output.stdout.is_empty(), "{output:?}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_in_the_end_takes_no_other_with_it() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let page = pki.path("load.html");
    let known = ["handshake", "--connect", &address, "--insecure", "--count", "2"];
    let output = run(&[&known[..], &["--json", "/dev/full", "--report", &page]].concat());
    assert!(sentence(&output).contains("/dev/full: "), "{output:?}");
    assert!(fs::read_to_string(&page).unwrap().ends_with("</html>\n"));
}

/// The first run cannot go on once its files are open: there is no such core.
#[test]
fn an_earlier_result_stays_until_there_is_another() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let files = [pki.path("load.json"), pki.path("load.html")];
    let earlier = "earlier ".repeat(100_000);
    files.iter().for_each(|file| fs::write(file, &earlier).unwrap());
    let known = ["handshake", "--connect", &address, "--insecure", "--count", "2"];
    let known = [&known[..], &["--json", &files[0], "--report", &files[1]]].concat();

    let cores = [&known[..], &["--cores", "1023"]].concat();
    assert!(sentence(&run(&cores)).contains("cannot go on: "));
    files.iter().for_each(|file| assert_eq!(fs::read_to_string(file).unwrap(), earlier));

    assert_eq!(run(&known).status.code(), Some(0));
    let told: serde_json::Value = serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap();
    assert_eq!(told["done"], 2);
    assert!(fs::read_to_string(&files[1]).unwrap().ends_with("</html>\n"));
}

#[test]
fn one_file_does_not_take_two_results() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let both = pki.path("both");
    for file in [&both, "-"] {
        let known = ["handshake", "--connect", &address, "--insecure", "--json", file];
        let output = run(&[&known[..], &["--report", file]].concat());
        assert!(sentence(&output).contains("both --json and --report"), "{output:?}");
    }
    assert!(!fs::exists(both).unwrap());
}

#[test]
fn json_to_a_pipe_has_standard_output_to_itself() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK)).to_string();
    let idle = ["idle", "--connections", "2", "--duration", "0.1"];
    for (work, said) in
        [(&["handshake", "--count", "2"][..], " 2 done"), (&idle, "2 connections are open, ")]
    {
        let output = run(&[work, &["--connect", &address, "--insecure", "--json", "-"]].concat());
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["done"], 2);
        assert!(String::from_utf8(output.stderr).unwrap().contains(said));
    }
}

#[test]
fn the_result_says_what_was_asked_for() {
    let pki = Pki::new();
    let address = serve(&pki, None, |_, stream| send(stream, OK));
    let to = address.to_string();
    let more = ["--connect-to", &to, "--source", "127.0.0.2-127.0.0.3", "--count", "2"];
    let more = [&more[..], &["--method", "PUT", "--path", "/orders", "--body-bytes", "7"]].concat();
    let more = [&more[..], &["--duration", "1m", "--resume", "50"]].concat();
    let told = load(&pki, "handshake", address, &more).success();
    let expected = serde_json::json!({
        "connect": to, "connect_to": [to], "source": "127.0.0.2-127.0.0.3", "insecure": false,
        "method": "PUT", "path": "/orders", "content_bytes": 7, "resume_percent": 50,
        "count": 2, "duration_seconds": 60.0
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name}");
    }
}
