//! Processor, memory, operating system and C library, from the files Linux offers. Other systems get reasons instead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Facts, fact};
use crate::ffi::map::Map;

type Answer = std::result::Result<String, String>;

/// `root` is `/` or a test's folder.
pub fn facts(root: &Path) -> Facts {
    let mut facts = cpu(root);
    facts.extend(system(root));
    facts.insert("memory.total".into(), fact(memory()));
    facts.insert("libc".into(), fact(libc(root)));
    facts
}

/// A text file under `root`, or a reason without machine-specific words.
pub(super) fn read(root: &Path, file: &str) -> Answer {
    std::fs::read_to_string(root.join(file))
        .map_err(|error| format!("{file} cannot be read: {}", error.kind()))
}

/// Keys of /proc/cpuinfo and what they are called here. x86's first, then Arm's.
const CPU_FACTS: &[(&str, &[&str])] = &[
    ("cpu.model", &["model name", "CPU part"]),
    ("cpu.vendor", &["vendor_id", "CPU implementer"]),
    ("cpu.family", &["cpu family", "CPU architecture"]),
    ("cpu.model_number", &["model", "CPU variant"]),
    ("cpu.stepping", &["stepping", "CPU revision"]),
    ("cpu.microcode", &["microcode"]),
];

fn cpu(root: &Path) -> Facts {
    let info = read(root, "proc/cpuinfo");
    let of = |names: &[&str]| -> Answer {
        let info = info.as_ref().map_err(Clone::clone)?;
        // A set, because one machine may have cores of several kinds.
        let pairs = info.lines().filter_map(|line| line.split_once(':'));
        let fits = pairs.filter(|(name, _)| names.contains(&name.trim()));
        let values: BTreeSet<_> = fits.map(|(_, value)| value.trim()).collect();
        let values: Vec<_> = values.into_iter().collect();
        if values.is_empty() {
            Err("this processor does not say".into())
        } else {
            Ok(values.join("; "))
        }
    };
    let mut facts: Facts = CPU_FACTS
        .iter()
        .map(|(key, names)| ((*key).into(), fact(of(names))))
        .collect();
    let flags = of(&["flags", "Features"]).map(|flags| {
        let flags: BTreeSet<_> = flags.split_whitespace().collect();
        flags.into_iter().collect::<Vec<_>>().join(" ")
    });
    let is_virtual = match &flags {
        // x86 processors have a flag for it, others do not.
        Ok(flags) if cfg!(target_arch = "x86_64") => Ok(flags
            .split(' ')
            .any(|flag| flag == "hypervisor")
            .to_string()),
        _ => Err("this processor does not say".into()),
    };
    facts.insert("machine.virtual".into(), fact(is_virtual));
    facts.insert("cpu.flags".into(), fact(flags));
    let cores = info.as_ref().map_err(Clone::clone).map(|info| {
        info.lines()
            .filter(|line| line.starts_with("processor"))
            .count()
            .to_string()
    });
    facts.insert("cpu.cores".into(), fact(cores));
    facts.insert("cpu.cache".into(), fact(caches(root)));
    let allowed = affinity(root);
    facts.insert(
        "cpu.usable".into(),
        fact(allowed.clone().map(|list| count(&list).to_string())),
    );
    facts.insert("cpu.affinity".into(), fact(allowed));
    facts
}

/// Which cores this process may use, as in `0-3,8`.
fn affinity(root: &Path) -> Answer {
    let status = read(root, "proc/self/status")?;
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(list
        .ok_or("proc/self/status does not say")?
        .trim()
        .to_owned())
}

/// How many cores a list as in `0-3,8` names.
fn count(list: &str) -> usize {
    list.split(',')
        .filter_map(|range| {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
            (to + 1).checked_sub(from)
        })
        .sum()
}

/// Caches of the first core, as in `L1d 48K, L2 2048K`.
fn caches(root: &Path) -> Answer {
    let folder = "sys/devices/system/cpu/cpu0/cache";
    let mut found = BTreeMap::new();
    for index in 0..8 {
        let ask = |name: &str| read(root, &format!("{folder}/index{index}/{name}"));
        let (Ok(level), Ok(kind), Ok(size)) = (ask("level"), ask("type"), ask("size")) else {
            break;
        };
        let letter = match kind.trim() {
            "Data" => "d",
            "Instruction" => "i",
            _ => "",
        };
        found.insert(format!("L{}{letter}", level.trim()), size.trim().to_owned());
    }
    if found.is_empty() {
        return Err("the kernel does not say".into());
    }
    let sizes: Vec<_> = found
        .iter()
        .map(|(name, size)| format!("{name} {size}"))
        .collect();
    Ok(sizes.join(", "))
}

/// Bytes of memory in the machine.
fn memory() -> Answer {
    let mut system = sysinfo::System::new().map_err(|error| error.to_string())?;
    system.refresh_memory();
    match system.total_memory() {
        0 => Err("the kernel does not say".into()),
        bytes => Ok(bytes.to_string()),
    }
}

fn system(root: &Path) -> Facts {
    let name = sysinfo::System::long_os_version().map_err(|error| error.to_string());
    let kernel = sysinfo::System::kernel_version().map_err(|error| error.to_string());
    let product = read(root, "sys/class/dmi/id/product_name").map(|text| text.trim().to_owned());
    let container = if root.join(".dockerenv").exists() {
        "docker"
    } else if root.join("run/.containerenv").exists() {
        "podman"
    } else {
        "no sign of one"
    };
    Facts::from([
        ("os.name".into(), fact(name)),
        ("os.kernel".into(), fact(kernel)),
        ("os.arch".into(), std::env::consts::ARCH.into()),
        ("machine.product".into(), fact(product)),
        ("machine.container".into(), container.into()),
    ])
}

/// The C library's name and version, from the text that every build of glibc carries.
fn libc(root: &Path) -> Answer {
    const BANNER: &[u8] = b"GNU C Library (";
    if cfg!(target_env = "musl") {
        return Ok("musl, part of this program".into());
    }
    let maps = read(root, "proc/self/maps")?;
    let line = maps
        .lines()
        .find(|line| line.contains("/libc.so.") || line.contains("/libc-2."));
    let path = line.and_then(|line| Some(&line[line.find('/')?..]));
    let path = path.ok_or("this process maps no shared C library")?;
    let bytes = Map::open(Path::new(path)).map_err(|_| "the C library cannot be read")?;
    let at = bytes
        .windows(BANNER.len())
        .position(|window| window == BANNER);
    let banner = bytes[at.ok_or("no glibc")?..]
        .split(|byte| *byte == b'\n')
        .next();
    let banner = String::from_utf8_lossy(banner.unwrap_or_default());
    Ok(banner.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Fact;
    use super::*;

    #[test]
    fn lists_of_cores_are_counted() {
        assert_eq!(count("0-3,8"), 5);
        assert_eq!(count("7"), 1);
        assert_eq!(count("nonsense"), 0);
    }

    #[test]
    fn a_machine_that_offers_no_files_gives_reasons() {
        let empty = tempfile::tempdir().unwrap();
        let facts = facts(empty.path());
        for key in ["cpu.model", "cpu.flags", "cpu.affinity"] {
            assert_eq!(facts[key].value(), None, "{key}");
        }
        let root = empty.path().display().to_string();
        assert!(facts.values().all(|fact| !fact.to_string().contains(&root)));
    }

    #[test]
    fn an_arm_machine_is_described_too() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        let info = "processor\t: 0\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n\n\
                    processor\t: 1\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n";
        std::fs::write(root.path().join("proc/cpuinfo"), info).unwrap();
        let facts = facts(root.path());
        assert_eq!(facts["cpu.model"], Fact::from("0xd40; 0xd4f"));
        assert_eq!(facts["cpu.flags"], Fact::from("asimd fp sve"));
        assert_eq!(facts["cpu.cores"], Fact::from("2"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_a_processor_memory_and_a_c_library() {
        let facts = facts(Path::new("/"));
        for key in [
            "cpu.flags",
            "cpu.cores",
            "cpu.affinity",
            "memory.total",
            "os.kernel",
            "libc",
        ] {
            assert!(facts[key].value().is_some(), "{key}: {}", facts[key]);
        }
    }
}
