//! Logs: where they are written, and what stays open.
use super::*;

#[test]
fn a_log_stays_open_over_reloads_and_a_check_opens_none() {
    let site = Site::new();
    assert_eq!(check(&site.path()), Ok(Vec::new()));
    assert!(!site.scratch.path("connection.log").exists());
    let before = site.load(None).unwrap();
    let log = |loaded: &Loaded| Arc::clone(loaded.live.logs.connection.as_ref().unwrap());
    log(&before).write(b"one\n".to_vec());
    let after = site.load(Some(&before)).unwrap();
    drop(before);
    log(&after).write(b"two\n".to_vec());
    log(&after).sink.flush();
    let written = std::fs::read_to_string(site.scratch.path("connection.log")).unwrap();
    assert_eq!(written, "one\ntwo\n");

    let faults = site.faults_of(&CONFIGURATION.replace("connection.log", "none/connection.log"));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("line 4: logs.connection: none/connection.log: No such"));
    let checked = check(&site.path()).unwrap_err();
    assert!(checked.to_string().contains("none/connection.log: No such"), "{checked}");
}

const LOGS: &str = "logs: {connection: connection.log, format: json}";

#[test]
fn each_log_has_settings_of_its_own() {
    let site = Site::new();
    let access = "{path: access.log, format: alb, when_full: block, rotate_bytes: 1048576}";
    let rotated = "{path: connection.log, rotate_bytes: 5000000000, rotate_keep: 100}";
    let logs = format!("logs: {{access: {access}, connection: {rotated}, format: json}}");
    site.configure(&CONFIGURATION.replace(LOGS, &logs));
    let logs = site.load(None).unwrap().live.logs;
    let (access, connection) = (logs.access.unwrap(), logs.connection.unwrap());
    assert_eq!((access.form, access.when_full), (Form::Alb, WhenFull::Block));
    assert_eq!(access.rotation, Some(Rotation { bytes_max: 1_048_576, keep: 5 }));
    assert_eq!(access.sink.path(), site.scratch.path("access.log"));
    assert_eq!(access.elb, connection.elb);
    assert_eq!((connection.form, connection.when_full), (Form::Json, WhenFull::Drop));
    assert_eq!(connection.rotation, Some(Rotation { bytes_max: 5_000_000_000, keep: 100 }));
}

#[test]
fn what_logs_cannot_be_is_a_fault() {
    let site = Site::new();
    let one_or_the_other =
        "one of this file and that of logs.connection would be renamed to the other";
    for (logs, expected) in [
        ("access: \"\"", "logs.access: expected a path, found nothing"),
        ("access: 5", "logs.access: expected a path or a mapping, found 5"),
        ("access: [a.log]", "logs.access: expected a mapping, found a list"),
        ("access: {format: alb}", "logs.access: the key path is missing"),
        (
            "access: {path: a.log, rotate: 5}",
            "logs.access.rotate: unknown key; the keys here are path, \
          format, when_full, rotate_bytes, rotate_keep",
        ),
        (
            "access: {path: a.log, when_full: wait}",
            "logs.access.when_full: \"wait\" is unknown here; the words are drop or block",
        ),
        (
            "access: {path: a.log, rotate_bytes: 1048575}",
            "logs.access.rotate_bytes: 1048575 is below 1048576",
        ),
        (
            "access: {path: a.log, rotate_keep: 3}",
            "logs.access.rotate_keep: goes with rotate_bytes",
        ),
        (
            "access: {path: a.log, rotate_bytes: 1048576, rotate_keep: 101}",
            "logs.access.rotate_keep: 101 is not from 1 to 100",
        ),
        (
            "access: {path: \"-\", rotate_bytes: 1048576}",
            "logs.access.rotate_bytes: standard output is not a file that could be renamed",
        ),
        (
            "connection: a.log, access: {path: a.log, rotate_bytes: 1048576}",
            "logs.access: logs.connection has this file, with another rotation",
        ),
        ("connection: a.log.5, access: {path: a.log, rotate_bytes: 1048576}", one_or_the_other),
        ("connection: {path: a.log, rotate_bytes: 1048576}, access: ./a.log.1", one_or_the_other),
        ("access: none/a.log", "none/a.log: No such file or directory (os error 2)"),
    ] {
        let faults = site.faults_of(&CONFIGURATION.replace(LOGS, &format!("logs: {{{logs}}}")));
        assert!(faults.len() == 1 && faults[0].ends_with(expected), "{logs}: {faults:?}");
    }
    let both = "logs: {connection: none/a.log, access: none/b.log}";
    assert_eq!(site.faults_of(&CONFIGURATION.replace(LOGS, both)).len(), 2);
}

/// Two writers would mix each other's lines.
#[test]
fn logs_of_one_file_share_its_writer() {
    let site = Site::new();
    let access = |loaded: &Loaded| Arc::clone(loaded.live.logs.access.as_ref().unwrap());
    let connection = |loaded: &Loaded| Arc::clone(loaded.live.logs.connection.as_ref().unwrap());
    site.configure(&CONFIGURATION.replace(LOGS, "logs: {connection: both.log, access: both.log}"));
    let before = site.load(None).unwrap();
    // What the one hands over, the other waits for.
    access(&before).write(b"one\n".to_vec());
    connection(&before).write(b"two\n".to_vec());
    connection(&before).sink.flush();
    let path = site.scratch.path("both.log");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");

    // A log that changes places takes over what is open there.
    site.configure(&CONFIGURATION.replace(LOGS, "logs: {access: both.log}"));
    let after = site.load(Some(&before)).unwrap();
    assert!(after.live.logs.connection.is_none());
    connection(&before).write(b"three\n".to_vec());
    access(&after).sink.flush();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
}
