//! This process's cgroups, and what they bound.
//!
//! Source: cgroups(7), "/proc files"; proc_pid_mountinfo(5). Both versions may be mounted side by side.
use std::fs;
use std::path::Path;

/// A version of cgroups: their files have other names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    /// One hierarchy for each controller.
    V1,
    /// One for all.
    V2,
}

/// What `read` finds in each cgroup of a controller (`cpu`, `memory`) from this process's own up to the
/// root. `root` is `/`.
pub(super) fn bounds<T>(
    root: &Path,
    controller: &str,
    read: impl Fn(Version, &Path) -> Option<T>,
) -> Vec<T> {
    let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (cgroups, mounts) = (text("proc/self/cgroup"), text("proc/self/mountinfo"));
    let mut found = Vec::new();
    for hierarchy in hierarchies(&cgroups, &mounts, controller) {
        let mount = root.join(hierarchy.mount.trim_start_matches('/'));
        let leaf = mount.join(hierarchy.cgroup.trim_start_matches('/'));
        let directories = leaf.ancestors().take_while(|directory| directory.starts_with(&mount));
        found.extend(directories.filter_map(|directory| read(hierarchy.version, directory)));
    }
    found
}

/// A cgroup hierarchy that has the controller, and this process's place in it.
#[derive(Debug, Eq, PartialEq)]
struct Hierarchy<'a> {
    version: Version,
    mount: &'a str,
    /// Below the mount point.
    cgroup: &'a str,
}

/// Finds them in `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn hierarchies<'a>(cgroups: &'a str, mounts: &'a str, controller: &str) -> Vec<Hierarchy<'a>> {
    mounts
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut fields = before.split(' ').skip(3);
            let (top, mount) = (fields.next()?, fields.next()?);
            let mut fields = after.split(' ');
            let (kind, options) = (fields.next()?, fields.nth(1)?);
            let version = match kind {
                "cgroup2" => Version::V2,
                "cgroup" if lists(options, controller) => Version::V1,
                _ => return None,
            };
            // A container may see only a part of the hierarchy, from `top` down.
            let path = cgroup(cgroups, version, controller)?;
            let cgroup = path.strip_prefix(top.trim_end_matches('/')).unwrap_or_default();
            Some(Hierarchy { version, mount, cgroup })
        })
        .collect()
}

/// The path of this process in the hierarchy, from lines such as `0::/a` and `4:cpu,cpuacct:/b`.
fn cgroup<'a>(cgroups: &'a str, version: Version, controller: &str) -> Option<&'a str> {
    cgroups.lines().find_map(|line| {
        let (hierarchy, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let ours = match version {
            Version::V2 => hierarchy == "0",
            Version::V1 => lists(controllers, controller),
        };
        ours.then_some(path)
    })
}

fn lists(words: &str, wanted: &str) -> bool {
    words.split(',').any(|word| word == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_alone_is_found() {
        let mounts = "24 23 0:22 / /proc rw - proc proc rw\n\
                      30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(
            hierarchies("0::/system.slice/portcullis.service\n", mounts, "cpu"),
            [Hierarchy {
                version: Version::V2,
                mount: "/sys/fs/cgroup",
                cgroup: "/system.slice/portcullis.service"
            }]
        );
    }

    #[test]
    fn version_1_in_a_container_is_found_below_what_is_mounted() {
        let cgroups = "5:cpuset:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/docker/abc\n";
        let mounts = "9 8 0:30 /docker/abc /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n\
             9 8 0:31 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro master:9 - cgroup cgroup rw,cpu,cpuacct";
        assert_eq!(
            hierarchies(cgroups, mounts, "cpu"),
            [Hierarchy { version: Version::V1, mount: "/sys/fs/cgroup/cpu,cpuacct", cgroup: "" }]
        );
    }
}
