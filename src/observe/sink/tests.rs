//! Sinks on real files: order, loss, reopening, making way.
use super::*;
use crate::config::scratch::Scratch;
use rustix::fs::{CWD, Mode, mkfifoat};
use std::fs::{self, File};
use std::io::Read;

fn log_to(path: &Path) -> Log {
    Log {
        kind: LogKind::Access,
        sink: Sink::open(path).unwrap(),
        form: Form::Alb,
        elb: "app/edge/0".into(),
        when_full: WhenFull::Drop,
        rotation: None,
    }
}

fn written(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// A line longer than the whole backlog.
fn too_long() -> Vec<u8> {
    let mut line = vec![b'x'; limits::LOG_BACKLOG_BYTES_MAX];
    line.push(b'\n');
    line
}

/// A pipe that somebody holds open for reading; what is written to it waits until it is read.
fn pipe(scratch: &Scratch) -> (PathBuf, File) {
    let path = scratch.path("pipe");
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    // Opened for both, so that opening waits for nobody.
    let reader = File::options().read(true).write(true).open(&path).unwrap();
    (path, reader)
}

#[test]
fn lines_of_one_writer_keep_their_order_and_flush_waits_for_them() {
    let scratch = Scratch::new();
    let path = scratch.path("access.log");
    let log = log_to(&path);
    for number in 0..10_000 {
        log.write(format!("{number}\n").into_bytes());
    }
    log.sink.flush();
    let expected: String = (0..10_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(written(&path), expected);
    assert_eq!((log.dropped(), log.backlog_bytes()), (0, 0));
}

#[test]
fn two_logs_of_one_file_count_what_they_lost_each_for_itself() {
    let log = log_to(Path::new("/dev/full"));
    let other = Log { kind: LogKind::Connection, ..log.clone() };
    for _ in 0..100 {
        log.write(b"one\ntwo\n".to_vec());
        other.write(b"three\n".to_vec());
    }
    log.sink.flush();
    assert_eq!((log.dropped(), other.dropped()), (200, 100));
    assert_eq!(log.backlog_bytes(), 0);
}

#[test]
fn a_disk_that_refuses_holds_nobody_up_who_waits_for_slow_ones() {
    let log = Log { when_full: WhenFull::Block, ..log_to(Path::new("/dev/full")) };
    for _ in 0..2 {
        log.write(vec![b'\n'; limits::LOG_BACKLOG_BYTES_MAX]);
    }
    log.sink.flush();
    assert_eq!(log.dropped(), 2 * limits::LOG_BACKLOG_BYTES_MAX as u64);
}

#[test]
fn lines_over_the_backlog_are_dropped_and_counted() {
    let scratch = Scratch::new();
    let path = scratch.path("access.log");
    let mut log = log_to(&path);
    for when_full in [WhenFull::Drop, WhenFull::Block] {
        log.when_full = when_full;
        log.write(too_long());
    }
    assert_eq!(log.dropped(), 2);
    log.write(b"fits\n".to_vec());
    log.sink.flush();
    assert_eq!(written(&path), "fits\n");
}

/// Goal: `block` loses nothing and holds its writer up; `drop` does neither. Method: a pipe that nobody
/// reads yet, a backlog twice over.
#[test]
fn a_slow_disk_costs_lines_or_time() {
    let lines = |number: u8| {
        let mut lines = vec![b'0' + number; limits::LOG_BACKLOG_BYTES_MAX / 8];
        lines.push(b'\n');
        lines
    };
    let scratch = Scratch::new();
    let (path, mut reader) = pipe(&scratch);
    let log = log_to(&path);
    for number in 0..16 {
        log.write(lines(number));
    }
    let lost = log.dropped();
    assert!((8..=9).contains(&lost), "{lost}");
    assert_eq!(log.blocked(), Duration::ZERO);

    let blocking = Log { when_full: WhenFull::Block, ..log.clone() };
    let (writes, begun) = mpsc::channel();
    let writer = thread::spawn(move || {
        writes.send(()).unwrap();
        for number in 0..16 {
            blocking.write(lines(number));
        }
        blocking
    });
    // Whoever reads before that may have made room for all of it.
    begun.recv().unwrap();
    let expected = (16 - lost as usize + 16) * lines(0).len();
    let mut read = vec![0; expected];
    reader.read_exact(&mut read).unwrap();
    let blocking = writer.join().unwrap();
    blocking.sink.flush();
    assert_eq!(blocking.dropped(), lost, "no more were lost");
    assert!(blocking.blocked() > Duration::ZERO);
    let read: Vec<&[u8]> = read.split_inclusive(|byte| *byte == b'\n').collect();
    for (number, line) in read[16 - lost as usize..].iter().enumerate() {
        assert!(*line == lines(number as u8), "line {number} of the blocking log");
    }
}

#[test]
fn reopening_writes_to_the_new_file() {
    let scratch = Scratch::new();
    let (path, moved) = (scratch.path("access.log"), scratch.path("moved"));
    let log = log_to(&path);
    log.write(b"before\n".to_vec());
    log.sink.flush();
    fs::rename(&path, &moved).unwrap();
    log.write(b"still before\n".to_vec());
    log.sink.reopen();
    log.write(b"after\n".to_vec());
    log.sink.flush();
    assert_eq!(written(&moved), "before\nstill before\n");
    assert_eq!(written(&path), "after\n");
}

/// Goal: no file over its size, none beyond those kept, no line lost while they last.
#[test]
fn a_file_that_is_full_makes_way() {
    let scratch = Scratch::new();
    let path = scratch.path("access.log");
    let rotation = Some(Rotation { bytes_max: 1_000, keep: 3 });
    let log = Log { rotation, ..log_to(&path) };
    let line = |number: u32| format!("{number:09}\n");
    for number in 0..350 {
        log.write(line(number).into_bytes());
        log.sink.flush();
    }
    let numbered = |number| written(&file::numbered(&path, number));
    let lines = |numbers: std::ops::Range<u32>| numbers.map(line).collect::<String>();
    assert_eq!(written(&path), lines(300..350));
    assert_eq!(numbered(1), lines(200..300));
    assert_eq!(numbered(2), lines(100..200));
    assert_eq!(numbered(3), lines(0..100));
    log.write(lines(350..451).into_bytes());
    log.sink.flush();
    assert_eq!(written(&path), lines(350..451), "lines that come together stay together");
    assert_eq!(numbered(3), lines(100..200), "the oldest went");
    assert!(!file::numbered(&path, 4).exists());
    // What is there at the start counts.
    let log = Log { rotation, ..log_to(&path) };
    log.write(b"next\n".to_vec());
    log.sink.flush();
    assert_eq!((written(&path).as_str(), numbered(1)), ("next\n", lines(350..451)));
}

#[test]
fn the_rotation_of_the_lines_that_come_holds() {
    let scratch = Scratch::new();
    let path = scratch.path("access.log");
    let mut log = log_to(&path);
    log.write(vec![b'\n'; 2_000]);
    log.sink.flush();
    log.rotation = Some(Rotation { bytes_max: 1_000, keep: 1 });
    log.write(b"new\n".to_vec());
    log.sink.flush();
    assert_eq!(written(&path), "new\n");
    assert_eq!(written(&file::numbered(&path, 1)).len(), 2_000);
}

#[test]
fn a_file_that_somebody_moved_away_makes_way_for_nobody() {
    let scratch = Scratch::new();
    let (path, moved) = (scratch.path("access.log"), scratch.path("moved"));
    let log = Log { rotation: Some(Rotation { bytes_max: 1_000, keep: 3 }), ..log_to(&path) };
    log.write(vec![b'\n'; 900]);
    log.sink.flush();
    fs::rename(&path, &moved).unwrap();
    log.write(vec![b'\n'; 200]);
    log.sink.flush();
    assert_eq!((written(&moved).len(), written(&path).len()), (900, 200));
    assert!(!file::numbered(&path, 1).exists());
}

#[test]
fn a_file_that_cannot_make_way_grows_on() {
    let scratch = Scratch::new();
    let path = scratch.path("access.log");
    let log = Log { rotation: Some(Rotation { bytes_max: 1_000, keep: 1 }), ..log_to(&path) };
    // A directory in the way.
    fs::create_dir(file::numbered(&path, 1)).unwrap();
    for _ in 0..3 {
        log.write(vec![b'\n'; 900]);
        log.sink.flush();
    }
    assert_eq!((written(&path).len(), log.dropped()), (2_700, 0));
}

#[test]
fn what_is_no_regular_file_never_makes_way() {
    let scratch = Scratch::new();
    let (path, mut reader) = pipe(&scratch);
    let log = Log { rotation: Some(Rotation { bytes_max: 10, keep: 1 }), ..log_to(&path) };
    for _ in 0..3 {
        log.write(b"0123456789\n".to_vec());
        log.sink.flush();
    }
    let mut read = [0; 33];
    reader.read_exact(&mut read).unwrap();
    assert!(!file::numbered(&path, 1).exists());
}

#[test]
fn a_missing_directory_is_an_error_and_is_not_made() {
    let path = Scratch::new().path("missing/connection.log");
    assert_eq!(Sink::check(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(Sink::open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_check_finds_what_opening_would_and_makes_nothing() {
    let scratch = Scratch::new();
    let path = scratch.path("access.log");
    Sink::check(&path).unwrap();
    assert!(!path.exists());
    Sink::check(Path::new("-")).unwrap();
    Sink::check(Path::new("/dev/full")).unwrap();
    let directory = Sink::check(&scratch.path("")).unwrap_err();
    assert_eq!(directory.kind(), io::ErrorKind::IsADirectory);
}

#[test]
fn a_pipe_without_a_reader_is_an_error_and_holds_nobody_up() {
    let scratch = Scratch::new();
    let (path, reader) = pipe(&scratch);
    drop(reader);
    let no_reader = Some(libc::ENXIO);
    assert_eq!(Sink::check(&path).unwrap_err().raw_os_error(), no_reader);
    assert_eq!(Sink::open(&path).unwrap_err().raw_os_error(), no_reader);
}

/// Goal: a reader that comes after another never begins within a line. Method: one that leaves while a
/// long line is on its way to it.
#[test]
fn a_reader_that_leaves_takes_its_line_with_it() {
    let scratch = Scratch::new();
    let (path, mut reader) = pipe(&scratch);
    let log = log_to(&path);
    let long = [&vec![b'x'; 1_000_000][..], b"\n"].concat();
    log.write(long);
    reader.read_exact(&mut [0; 100]).unwrap();
    drop(reader);
    log.sink.flush();
    assert_eq!(log.dropped(), 1);
    log.write(b"nobody reads this\n".to_vec());
    log.sink.flush();
    assert_eq!(log.dropped(), 2);
    let mut reader = File::options().read(true).write(true).open(&path).unwrap();
    log.write(b"whole\n".to_vec());
    let mut read = [0; 6];
    reader.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"whole\n");
}
