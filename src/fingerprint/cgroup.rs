//! How much memory and processor time the control groups of this process leave it, in both versions of cgroups.
//!
//! A limit set anywhere above the process counts, so each folder from the process's own group up to the mount is read
//! and the smallest limit wins. Sources: cgroups(7), the kernel's `cgroup-v2.rst` and `cgroup-v1/memory.rst`.

use std::path::{Path, PathBuf};

use super::machine::read;
use super::{Fact, Facts};

/// What v1 calls no limit is the greatest multiple of the page size below 2^63; nothing real is above this.
const NO_LIMIT: u64 = 1 << 62;

/// A folder tree in which the process has a place, and the version of its files.
struct Hierarchy {
    is_v2: bool,
    /// From the process's own group up to the mount.
    folders: Vec<PathBuf>,
}

/// `cgroup.memory_limit` in bytes, `cgroup.cpu_limit` in CPUs (1.5 is one and a half) and `cgroup.version`. `root` is
/// `/` or a test's folder.
pub fn facts(root: &Path) -> Facts {
    let memory = hierarchies(root, "memory");
    let cpu = hierarchies(root, "cpu");
    let limits = |found: &[Hierarchy], limit: fn(&Path, bool) -> Option<f64>| {
        found
            .iter()
            .flat_map(|it| {
                it.folders
                    .iter()
                    .filter_map(|folder| limit(folder, it.is_v2))
            })
            .min_by(f64::total_cmp)
    };
    let fact = |found: &[Hierarchy], limit: Option<f64>| match limit {
        Some(limit) => Fact::Value(format!("{}", (limit * 100.0).round() / 100.0)),
        None if found.is_empty() => Fact::absent("no cgroup file system is mounted"),
        None => Fact::absent("no limit"),
    };
    let has = |is_v2| memory.iter().chain(&cpu).any(|it| it.is_v2 == is_v2);
    let version = match (has(false), has(true)) {
        (true, true) => "v1 and v2".into(),
        (true, false) => "v1".into(),
        (false, true) => "v2".into(),
        (false, false) => Fact::absent("no cgroup file system is mounted"),
    };
    Facts::from([
        ("cgroup.version".into(), version),
        (
            "cgroup.memory_limit".into(),
            fact(&memory, limits(&memory, memory_limit)),
        ),
        (
            "cgroup.cpu_limit".into(),
            fact(&cpu, limits(&cpu, cpu_limit)),
        ),
    ])
}

/// The trees that hold `controller` for this process: v1's own, and the unified one of v2.
fn hierarchies(root: &Path, controller: &str) -> Vec<Hierarchy> {
    let groups = read(root, "proc/self/cgroup").unwrap_or_default();
    let mounts = read(root, "proc/self/mountinfo").unwrap_or_default();
    let mut found = Vec::new();
    // Lines are `number:controllers:path`; v2's has no controllers.
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let is_v2 = controllers.is_empty();
        if !is_v2 && !controllers.split(',').any(|it| it == controller) {
            continue;
        }
        let wanted = if is_v2 { None } else { Some(controller) };
        let mount = mounts.lines().find_map(|line| mounted(line, wanted));
        if let Some((mount_root, mount_point)) = mount {
            let folders = folders(root, mount_root, mount_point, path);
            found.push(Hierarchy { is_v2, folders });
        }
    }
    found
}

/// Root and mount point of a line of mountinfo, if it mounts `controller` (v1) or, for none, v2. See proc(5).
fn mounted<'a>(line: &'a str, controller: Option<&str>) -> Option<(&'a str, &'a str)> {
    let (mount, system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (mount_root, mount_point) = (mount.next()?, mount.next()?);
    let mut system = system.split(' ');
    let kind = system.next()?;
    let mut options = system.nth(1)?.split(',');
    let fits = match controller {
        None => kind == "cgroup2",
        Some(controller) => kind == "cgroup" && options.any(|option| option == controller),
    };
    fits.then_some((mount_root, mount_point))
}

/// A container may mount only its own part of the tree (`mount_root`) while the kernel gives the path from the host's
/// root; and with a namespace of its own, paths outside it begin with `/..`. Then the mount is all there is to see.
fn folders(root: &Path, mount_root: &str, mount_point: &str, path: &str) -> Vec<PathBuf> {
    let top = root.join(mount_point.trim_start_matches('/'));
    let inside = Path::new(path)
        .strip_prefix(mount_root)
        .unwrap_or(Path::new(""));
    let inside = if path.contains("..") {
        Path::new("")
    } else {
        inside
    };
    let own = top.join(inside);
    own.ancestors()
        .take_while(|folder| folder.starts_with(&top))
        .map(Path::to_path_buf)
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "limits are far below 2^53 bytes"
)]
fn memory_limit(folder: &Path, is_v2: bool) -> Option<f64> {
    let file = if is_v2 {
        "memory.max"
    } else {
        "memory.limit_in_bytes"
    };
    // v2 writes `max` for no limit, which is no number.
    let limit: u64 = read(folder, file).ok()?.trim().parse().ok()?;
    (limit < NO_LIMIT).then_some(limit as f64)
}

/// Quota by period, both in microseconds. v2 writes `max` and v1 -1 for no quota.
fn cpu_limit(folder: &Path, is_v2: bool) -> Option<f64> {
    let text = if is_v2 {
        read(folder, "cpu.max").ok()?
    } else {
        let quota = read(folder, "cpu.cfs_quota_us").ok()?;
        format!("{quota} {}", read(folder, "cpu.cfs_period_us").ok()?)
    };
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    let (quota, period) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder tree with these files.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    fn limits(files: &[(&str, &str)]) -> (Option<String>, Option<String>) {
        let facts = facts(tree(files).path());
        let value = |key: &str| facts[key].value().map(str::to_owned);
        (value("cgroup.cpu_limit"), value("cgroup.memory_limit"))
    }

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn in_v2_the_smallest_limit_up_the_tree_wins() {
        let files = [
            ("proc/self/cgroup", "0::/jobs/mine\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/jobs/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/jobs/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/jobs/mine/memory.max", "max\n"),
            ("sys/fs/cgroup/jobs/mine/cpu.max", "150000 100000\n"),
        ];
        assert_eq!(
            limits(&files),
            (Some("1.5".into()), Some("1073741824".into()))
        );
    }

    #[test]
    fn in_v1_each_controller_has_its_own_tree() {
        let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let files = [
            (
                "proc/self/cgroup",
                "4:memory:/a/b\n1:cpu,cpuacct:/a\n0::/\n",
            ),
            ("proc/self/mountinfo", mounts),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            (
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "536870912\n",
            ),
            (
                "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
                "1073741824\n",
            ),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "200000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(limits(&files), (Some("2".into()), Some("536870912".into())));
    }

    #[test]
    fn a_container_that_sees_only_its_own_part_of_the_tree_finds_its_limit() {
        let mounts = "35 31 0:32 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let files = [
            ("proc/self/cgroup", "4:memory:/docker/c1\n"),
            ("proc/self/mountinfo", mounts),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"),
        ];
        assert_eq!(limits(&files), (None, Some("268435456".into())));
        let files = [
            ("proc/self/cgroup", "0::/../other\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/memory.max", "268435456\n"),
        ];
        assert_eq!(limits(&files), (None, Some("268435456".into())));
    }

    #[test]
    fn no_limit_and_no_cgroups_are_told_apart() {
        let files = [
            ("proc/self/cgroup", "4:memory:/\n"),
            (
                "proc/self/mountinfo",
                "35 31 0:32 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            ),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ];
        let unlimited = facts(tree(&files).path());
        assert_eq!(unlimited["cgroup.memory_limit"], Fact::absent("no limit"));
        let none = facts(tree(&[]).path());
        let reason = Fact::absent("no cgroup file system is mounted");
        assert_eq!(none["cgroup.memory_limit"], reason);
        assert_eq!(none["cgroup.version"], reason);
    }
}
