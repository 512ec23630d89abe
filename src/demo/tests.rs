use super::*;

/// A directory that does not exist yet, for this test of this process.
fn directory(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("portcullis-demo-test-{}-{test}", std::process::id()))
}

#[test]
fn a_demo_leaves_nothing_behind() {
    let path = directory("leaves nothing");
    let demo = Demo::prepare(&path).unwrap();
    assert!(demo.configuration().is_file());
    drop(demo);
    assert!(!path.exists());
}

#[test]
fn a_directory_that_exists_is_refused_and_left_alone() {
    let path = directory("exists");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("precious"), "x").unwrap();
    assert!(matches!(Demo::prepare(&path), Err(DemoError::Directory { .. })));
    assert!(path.join("precious").exists());
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn keys_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let demo = Demo::prepare(&directory("keys")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(demo.directory()), 0o700);
    assert_eq!(mode(&demo.path("server.key")), 0o600);
}

#[test]
fn the_banner_has_each_command_on_a_line_of_its_own() {
    let demo = Demo::prepare(&directory("banner")).unwrap();
    let banner = demo.banner();
    let printed: Vec<&str> = banner.lines().filter(|line| line.starts_with("  curl ")).collect();
    let commands = demo.commands();
    assert_eq!(printed.len(), commands.len());
    for (line, shown) in printed.iter().zip(&commands) {
        assert_eq!(line.trim_start(), shown.command);
    }
    let too_wide = |line: &&str| line.len() > 100 && !line.starts_with("  ");
    assert_eq!(banner.lines().find(too_wide), None);
}

#[test]
fn every_file_that_the_configuration_names_exists() {
    let demo = Demo::prepare(&directory("files")).unwrap();
    let text = fs::read_to_string(demo.configuration()).unwrap();
    for name in ["server.crt", "server.key", "ca.pem", "ca.crl"] {
        assert!(text.contains(name) && demo.path(name).is_file(), "{name}");
    }
}
