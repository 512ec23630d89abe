//! The watch, on real files.
use super::*;
use crate::config::files::{Files, Follow};
use crate::config::scratch::Scratch;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;

/// What one look at these files sees, as a load would.
fn inputs(paths: &[&Path]) -> Inputs {
    let mut files = Files::new("/".into());
    for path in paths {
        let _ = files.open(path, 1_000_000);
    }
    files.inputs(Follow::Always)
}

async fn change(watch: &mut Watch) {
    timeout(Duration::from_secs(60), watch.changed()).await.expect("a change was reported");
}

/// Nothing is reported for a good while. Only a wrong report can end this early.
async fn no_change(watch: &mut Watch) {
    let quiet = timeout(3 * limits::SETTLE, watch.changed()).await;
    assert!(quiet.is_err(), "a change was reported");
}

#[tokio::test]
async fn a_rename_over_a_file_is_a_change() {
    let scratch = Scratch::new();
    let file = scratch.write("a.crt", "one");
    let mut watch = Watch::new(&inputs(&[&file]));
    no_change(&mut watch).await;
    let next = scratch.write("a.tmp", "two");
    fs::rename(next, &file).unwrap();
    change(&mut watch).await;
    watch.follow(&inputs(&[&file]));
    no_change(&mut watch).await;
}

#[tokio::test]
async fn a_write_in_place_is_a_change_and_rewriting_the_same_is_none() {
    let scratch = Scratch::new();
    let file = scratch.write("a.crt", "one");
    let mut watch = Watch::new(&inputs(&[&file]));
    no_change(&mut watch).await;
    scratch.write("a.crt", "one");
    no_change(&mut watch).await;
    scratch.write("a.crt", "two");
    change(&mut watch).await;
    // The load of it failed; it is not reported again until it changes again.
    watch.follow(&inputs(&[&file]));
    no_change(&mut watch).await;
    scratch.write("a.crt", "three");
    change(&mut watch).await;
}

#[tokio::test]
async fn the_swap_of_a_kubernetes_volume_is_a_change_each_time() {
    let scratch = Scratch::new();
    scratch.write("volume/..first/ca.pem", "one");
    symlink("..first", scratch.path("volume/..data")).unwrap();
    symlink("..data/ca.pem", scratch.path("volume/ca.pem")).unwrap();
    let file = scratch.path("volume/ca.pem");
    let mut watch = Watch::new(&inputs(&[&file]));
    no_change(&mut watch).await;
    for (old, new) in [("..first", "..second"), ("..second", "..third")] {
        scratch.write(&format!("volume/{new}/ca.pem"), new);
        symlink(new, scratch.path("volume/..data_tmp")).unwrap();
        fs::rename(scratch.path("volume/..data_tmp"), scratch.path("volume/..data")).unwrap();
        fs::remove_dir_all(scratch.path(format!("volume/{old}"))).unwrap();
        change(&mut watch).await;
        assert_eq!(fs::read_to_string(&file).unwrap(), new);
        watch.follow(&inputs(&[&file]));
    }
}

#[tokio::test]
async fn a_half_written_file_is_waited_for() {
    let scratch = Scratch::new();
    let file = scratch.write("ca.pem", "one");
    let other = scratch.write("other.pem", "one");
    let mut watch = Watch::new(&inputs(&[&file, &other]));
    no_change(&mut watch).await;
    let mut writer = File::create(&file).unwrap();
    writer.write_all(b"tw").unwrap();
    // Another change does not make the half-written file live either.
    scratch.write("other.pem", "two");
    no_change(&mut watch).await;
    writer.write_all(b"o").unwrap();
    drop(writer);
    change(&mut watch).await;
    assert_eq!(watch.seen, inputs(&[&file, &other]), "both changes are one");
    assert_eq!(fs::read_to_string(&file).unwrap(), "two");
}

#[tokio::test]
async fn a_writer_that_never_closes_is_not_waited_for_forever() {
    let scratch = Scratch::new();
    let file = scratch.write("ca.pem", "one");
    let mut watch = Watch::new(&inputs(&[&file]));
    watch.writer_silence = 5 * limits::SETTLE;
    no_change(&mut watch).await;
    let mut writer = File::create(&file).unwrap();
    writer.write_all(b"two").unwrap();
    no_change(&mut watch).await;
    change(&mut watch).await;
    drop(writer);
}

#[tokio::test]
async fn a_file_that_was_missing_is_a_change_when_it_comes_directories_and_all() {
    let scratch = Scratch::new();
    let file = scratch.path("certs/new/a.crt");
    let mut watch = Watch::new(&inputs(&[&file]));
    no_change(&mut watch).await;
    scratch.write("certs/new/a.crt", "one");
    change(&mut watch).await;
    watch.follow(&inputs(&[&file]));
    fs::remove_file(&file).unwrap();
    change(&mut watch).await;
}

#[tokio::test]
async fn a_directory_that_is_exchanged_is_a_change_and_is_watched_after() {
    let scratch = Scratch::new();
    let file = scratch.write("certs/a.crt", "one");
    let mut watch = Watch::new(&inputs(&[&file]));
    no_change(&mut watch).await;
    scratch.write("certs.new/a.crt", "two");
    fs::rename(scratch.path("certs"), scratch.path("certs.old")).unwrap();
    fs::rename(scratch.path("certs.new"), scratch.path("certs")).unwrap();
    change(&mut watch).await;
    watch.follow(&inputs(&[&file]));
    no_change(&mut watch).await;
    scratch.write("certs/a.crt", "three");
    change(&mut watch).await;
}

#[tokio::test]
async fn what_changes_between_a_load_and_the_watch_is_found() {
    let scratch = Scratch::new();
    let file = scratch.write("a.crt", "one");
    let loaded = inputs(&[&file]);
    scratch.write("a.crt", "two");
    change(&mut Watch::new(&loaded)).await;
}

#[tokio::test]
async fn without_a_bell_polling_finds_the_change() {
    let scratch = Scratch::new();
    let file = scratch.write("a.crt", "one");
    let mut watch = Watch::new(&inputs(&[&file]));
    watch.watcher = None;
    no_change(&mut watch).await;
    scratch.write("a.crt", "two");
    change(&mut watch).await;
}

#[test]
fn the_way_to_a_file_names_each_link_and_its_end() {
    let scratch = Scratch::new();
    scratch.write("real/..first/ca.pem", "one");
    symlink("..first", scratch.path("real/..data")).unwrap();
    symlink("..data/ca.pem", scratch.path("real/ca.pem")).unwrap();
    symlink("real", scratch.path("link")).unwrap();
    symlink("loop", scratch.path("loop")).unwrap();
    let mut ways = Ways::default();
    ways.follow(&scratch.path("other/../link/./ca.pem"));
    let ends = |names: &[&str]| -> BTreeSet<PathBuf> {
        names.iter().map(|name| scratch.path(name)).collect()
    };
    assert_eq!(ways.paths, ends(&["other"]), "what is missing ends the way");

    let mut ways = Ways::default();
    ways.follow(&scratch.path("link/./ca.pem"));
    let paths = ends(&["link", "real/ca.pem", "real/..data", "real/..first/ca.pem"]);
    assert_eq!(ways.paths, paths);
    let root = scratch.path(".").components().collect::<PathBuf>();
    let mut directories = ends(&["real", "real/..first"]);
    directories.insert(root);
    assert_eq!(ways.directories, directories);

    ways.follow(&scratch.path("loop/a"));
    assert!(ways.paths.contains(&scratch.path("loop")), "a loop ends");
}
