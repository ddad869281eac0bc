//! The hook: how a mode and a seed reach an unmodified Python program, and how they are read back at its end. torch loads it
//! by itself, through an entry point that it looks for on `PYTHONPATH`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::knob::{KNOBS, Moment, Origin, Request, Setting};

/// The files of a Python package that nobody installs: a module, and what declares its entry point.
const FILES: &[(&str, &str)] = &[
    ("samebits_hook.py", include_str!("hook.py")),
    (
        "samebits_hook-1.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: samebits-hook\nVersion: 1\n",
    ),
    (
        "samebits_hook-1.dist-info/entry_points.txt",
        "[torch.backends]\nsamebits = samebits_hook:load\n",
    ),
];

/// What the hook is told.
#[derive(Serialize)]
struct Order<'a> {
    /// Knobs to set, with their values.
    switches: Vec<(&'a str, &'a str)>,
    /// Knobs to read back.
    read: Vec<&'a str>,
    seed: Option<u64>,
    /// Where each process writes what it read.
    folder: &'a Path,
    /// The op recorder's library, to be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorder: Option<&'a Path>,
}

/// What one Python process wrote.
#[derive(Deserialize)]
struct Answer {
    torch: String,
    /// The folder of its torch.
    root: PathBuf,
    found: BTreeMap<String, String>,
    failed: BTreeMap<String, String>,
}

/// A hook in its folder.
pub(super) struct Hook {
    folder: PathBuf,
    answers: PathBuf,
}

/// What the hook found in one run.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// Python processes that imported torch.
    pub(super) processes: usize,
    /// Their versions of torch.
    pub(super) versions: Vec<String>,
    /// Where those are.
    pub(super) roots: Vec<PathBuf>,
    /// Knobs as they stood at the end: those of all processes, where they agree.
    pub(super) settings: Vec<Setting>,
    /// Processes that outlived the command.
    pub(super) leaked: usize,
    /// Knobs that could not be set, or that the program changed, with the reason.
    pub(super) missed: Vec<String>,
}

impl Hook {
    /// Writes the hook's files into a new folder.
    pub(super) fn new(base: &Path) -> Result<Self> {
        let folder = base.join("hook");
        for (name, text) in FILES {
            let path = folder.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
            }
            fs::write(&path, text).map_err(|e| Error::io("write", &path, e))?;
        }
        Ok(Self {
            folder,
            answers: base.join("hook-answers"),
        })
    }

    /// Variables that make torch load the hook, which then obeys. Answers of a run before are forgotten.
    pub(super) fn environment(
        &self,
        switches: &[Request],
        seed: Option<u64>,
        recorder: Option<&Path>,
    ) -> Result<Vec<(String, Option<OsString>)>> {
        if self.answers.exists() {
            fs::remove_dir_all(&self.answers).map_err(|e| Error::io("clear", &self.answers, e))?;
        }
        fs::create_dir_all(&self.answers).map_err(|e| Error::io("create", &self.answers, e))?;
        self.variables(switches, seed, &self.answers, recorder)
    }

    /// Those variables, with answers in another folder.
    pub(super) fn variables(
        &self,
        switches: &[Request],
        seed: Option<u64>,
        answers: &Path,
        recorder: Option<&Path>,
    ) -> Result<Vec<(String, Option<OsString>)>> {
        let order = Order {
            switches: switches
                .iter()
                .map(|one| (one.name.as_str(), one.value.as_str()))
                .collect(),
            read: KNOBS
                .iter()
                .filter(|knob| knob.moment == Moment::AnyTime)
                .map(|knob| knob.name)
                .collect(),
            seed,
            folder: answers,
            recorder,
        };
        let order = serde_json::to_string(&order)
            .map_err(|e| Error::Usage(format!("the folder's name is no UTF-8: {e}")))?;
        let mut path = self.folder.clone().into_os_string();
        if let Some(users) = std::env::var_os("PYTHONPATH").filter(|users| !users.is_empty()) {
            path.push(":");
            path.push(users);
        }
        Ok(vec![
            ("PYTHONPATH".into(), Some(path)),
            ("SAMEBITS_HOOK".into(), Some(order.into())),
        ])
    }

    /// What the processes of the last run wrote.
    pub(super) fn reached(&self, switches: &[Request]) -> Reached {
        let mut answers: Vec<Answer> = Vec::new();
        for entry in fs::read_dir(&self.answers).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            // A process killed while writing left a part, which is no answer.
            answers.extend(serde_json::from_str::<Answer>(&text).ok());
        }
        let mut reached = Reached {
            processes: answers.len(),
            ..Reached::default()
        };
        let mut versions: Vec<String> = answers.iter().map(|one| one.torch.clone()).collect();
        versions.sort_unstable();
        versions.dedup();
        reached.versions = versions;
        reached.roots = answers.iter().map(|one| one.root.clone()).collect();
        reached.roots.sort_unstable();
        reached.roots.dedup();
        for knob in KNOBS.iter().filter(|knob| knob.moment == Moment::AnyTime) {
            let mut found: Vec<&String> = answers
                .iter()
                .filter_map(|one| one.found.get(knob.name))
                .collect();
            found.sort_unstable();
            found.dedup();
            let request = switches.iter().find(|request| request.name == knob.name);
            let asked = request.is_some_and(|request| request.origin == Origin::Flag);
            if let Some(failed) = answers.iter().find_map(|one| one.failed.get(knob.name)) {
                // Of what the table asks for, some switches exist only in C++.
                if asked || knob.name == "deterministic_algorithms" {
                    reached
                        .missed
                        .push(format!("{} could not be set: {failed}", knob.name));
                }
            } else if let (Some(request), Some(value)) = (request, found.first())
                && (found.len() > 1 || **value != request.value)
            {
                reached.missed.push(format!(
                    "{} was set to {} but was {} when the program ended",
                    knob.name,
                    request.value,
                    found
                        .iter()
                        .map(|value| value.as_str())
                        .collect::<Vec<_>>()
                        .join(" and ")
                ));
            }
            if !found.is_empty() || asked {
                reached.settings.push(Setting {
                    name: knob.name.into(),
                    requested: request.map(|request| request.value.clone()),
                    in_force: (found.len() == 1).then(|| found[0].clone()),
                    origin: request.map(|request| request.origin),
                });
            }
        }
        reached
    }
}
