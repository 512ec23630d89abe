use super::super::contents::{Change, Contents, File};
use super::*;
use crate::config::scratch::Scratch;
use std::mem;

fn file(name: &str, content: &[u8]) -> File {
    File { name: name.to_owned(), bytes: content.to_vec().into() }
}

fn contents() -> Contents {
    Contents::new(file("partners.pem", b"bundle"), vec![file("a.crl", b"a")]).unwrap()
}

fn old() -> Sealed {
    contents().sealed("partners")
}

fn new() -> Sealed {
    let added = Change::AddRevocations(vec![file("b.crl", &[7; 300])]);
    contents().changed(added).unwrap().sealed("partners")
}

fn open(scratch: &Scratch) -> Directory {
    Directory::open(&scratch.path("state"), "node edge-1, process 17").unwrap()
}

/// A directory that holds [`old`].
fn with_old(scratch: &Scratch) -> Directory {
    let directory = open(scratch);
    directory.stage(&old()).unwrap().commit().unwrap();
    directory.sync().unwrap();
    directory
}

fn files(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(scratch.path("state/trust_stores")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

#[test]
fn what_is_committed_is_read_and_what_is_not_goes() {
    let scratch = Scratch::new();
    let directory = open(&scratch);
    assert_eq!((directory.read("partners"), directory.checksum("partners")), (Ok(None), None));
    drop(directory.stage(&old()).unwrap());
    assert_eq!(directory.read("partners"), Ok(None));
    assert_eq!(files(&scratch), [""; 0]);
    directory.stage(&old()).unwrap().commit().unwrap();
    assert_eq!(directory.read("partners"), Ok(Some(old())));
    let checksum = directory.checksum("partners").unwrap();
    directory.stage(&new()).unwrap().commit().unwrap();
    assert_eq!(directory.read("partners"), Ok(Some(new())));
    assert_ne!(directory.checksum("partners").unwrap(), checksum);
    assert_eq!(files(&scratch), ["partners.state"]);
}

#[test]
fn each_directory_that_gets_an_entry_is_synced() {
    let scratch = Scratch::new();
    let state = scratch.path("a/b/state");
    let expected = [scratch.path("a/b"), scratch.path("a"), scratch.path("")];
    let parents = parents_of_missing(&state);
    assert!(parents.iter().map(|path| path.join("")).eq(expected.map(|path| path.join(""))));
    drop(Directory::open(&state, "node edge-1").unwrap());
    assert!(state.join("trust_stores").is_dir());
    assert!(parents_of_missing(&state).is_empty());
}

#[test]
fn only_its_user_can_read_or_write_what_is_kept() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path("state/trust_stores")).unwrap();
    fs::set_permissions(scratch.path("state/trust_stores"), Permissions::from_mode(0o777)).unwrap();
    let _directory = with_old(&scratch);
    let mode = |path: &str| fs::metadata(scratch.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("state/trust_stores"), 0o700);
    assert_eq!(mode("state/trust_stores/partners.state"), 0o600);
    assert_eq!(mode("state/lock"), 0o600);
}

#[test]
fn a_directory_is_for_one_node_and_another_is_told_whose_it_is() {
    let scratch = Scratch::new();
    let first = open(&scratch);
    let refused = Directory::open(&scratch.path("state"), "node edge-2, process 18").unwrap_err();
    assert!(refused.ends_with("state/lock is held by node edge-1, process 17"), "{refused}");
    drop(first);
    drop(open(&scratch));
}

/// Goal: whoever is killed while writing restarts in the old state. Method: what they leave behind
/// after each byte, and a start.
#[test]
fn every_prefix_of_a_new_file_leaves_the_old_state() {
    let scratch = Scratch::new();
    let directory = with_old(&scratch);
    let mut whole = Vec::new();
    new().encode(&mut whole).unwrap();
    drop(directory);
    for length in 0..=whole.len() {
        scratch.write("state/trust_stores/partners.state.new", &whole[..length]);
        let directory = open(&scratch);
        assert_eq!(directory.read("partners"), Ok(Some(old())), "killed after {length} bytes");
        assert_eq!(files(&scratch), ["partners.state"], "killed after {length} bytes");
    }
}

/// The steps around the writing: each is a point at which the process may be killed.
#[test]
fn every_step_leaves_the_old_state_or_whole_the_new_one() {
    let scratch = Scratch::new();
    let directory = with_old(&scratch);
    // Written and synced, not renamed.
    mem::forget(directory.stage(&new()).unwrap());
    assert_eq!(files(&scratch), ["partners.state", "partners.state.new"]);
    drop(directory);
    let directory = open(&scratch);
    assert_eq!(directory.read("partners"), Ok(Some(old())));
    assert_eq!(files(&scratch), ["partners.state"]);
    // Renamed, the directory not synced.
    directory.stage(&new()).unwrap().commit().unwrap();
    drop(directory);
    let directory = open(&scratch);
    assert_eq!(directory.read("partners"), Ok(Some(new())));
    // Synced.
    directory.sync().unwrap();
    drop(directory);
    assert_eq!(open(&scratch).read("partners"), Ok(Some(new())));
}

/// Goal: what cannot be read is told and stays. Method: damage of each kind, and a start.
#[test]
fn a_damaged_file_is_a_fault_and_is_not_overwritten() {
    let scratch = Scratch::new();
    drop(with_old(&scratch));
    let name = "state/trust_stores/partners.state";
    let whole = fs::read(scratch.path(name)).unwrap();
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    let mut other_store = Vec::new();
    contents().sealed("staff").encode(&mut other_store).unwrap();
    for (damaged, what) in [
        (&whole[..whole.len() - 1], "checksum is wrong"),
        (&flipped, "checksum is wrong"),
        (b"", "the file is empty"),
        (b"portcullis trust store, version 0002\n", "another version"),
        (b"something else", "this is not the state of a trust store"),
        (&other_store, "the state of another trust store"),
    ] {
        scratch.write(name, damaged);
        let said = open(&scratch).read("partners").unwrap_err();
        assert!(said.contains(name) && said.contains(what), "{said}");
        assert_eq!(fs::read(scratch.path(name)).unwrap(), damaged);
    }
}

/// Goal: what one seed cannot have, no other keeps. Method: a place that is taken once all are written.
#[test]
fn seeds_are_committed_all_or_none() {
    let scratch = Scratch::new();
    let directory = open(&scratch);
    let stage = || ["a", "b", "c"].map(|name| directory.stage(&contents().sealed(name)).unwrap());
    let staged = stage();
    fs::create_dir_all(directory.file("b").join("taken")).unwrap();
    let faults = commit(staged.into()).unwrap_err();
    assert!(faults.to_string().contains("b.state: "), "{faults}");
    assert_eq!(faults.list.len(), 1, "{faults}");
    assert_eq!(files(&scratch), ["b.state"], "what was in the way");
    fs::remove_dir_all(directory.file("b")).unwrap();
    commit(stage().into()).unwrap();
    assert_eq!(files(&scratch), ["a.state", "b.state", "c.state"]);
}

#[test]
fn a_place_that_cannot_be_written_is_named_and_nothing_is_left_there() {
    let scratch = Scratch::new();
    let directory = with_old(&scratch);
    fs::create_dir(scratch.path("state/trust_stores/partners.state.new")).unwrap();
    let said = directory.stage(&new()).unwrap_err();
    assert!(said.contains("partners.state.new: "), "{said}");
    fs::remove_dir(scratch.path("state/trust_stores/partners.state.new")).unwrap();

    let staged = directory.stage(&new()).unwrap();
    fs::remove_file(directory.file("partners")).unwrap();
    fs::create_dir_all(directory.file("partners").join("taken")).unwrap();
    assert!(staged.commit().unwrap_err().contains("partners.state: "));
    assert_eq!(files(&scratch), ["partners.state"]);
    scratch.write("file", "");
    assert!(Directory::open(&scratch.path("file"), "").unwrap_err().contains("/file: "));
}
