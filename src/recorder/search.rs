//! Records runs until two of them part: what parts once in a while takes several, and values are kept only where digests
//! have shown that they are wanted.

use std::fs;
use std::path::PathBuf;

use super::{Account, Kind, Place, compare};
use crate::error::{Error, Result};

/// Runs that are recorded, the first of which is compared with each of the others.
const RUNS: usize = 8;

/// A run to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whether it is judged against another one.
    pub candidate: bool,
    /// The op of the first thread whose values are kept.
    pub keep: Option<u64>,
}

/// The account of two recorded runs that part, or of the last two. `record` runs once with the recorder and returns the folder
/// with what was recorded.
///
/// # Errors
/// Those of `record`, and when a recording cannot be read or holds nothing.
pub fn search(mut record: impl FnMut(Wanted) -> Result<PathBuf>) -> Result<Account> {
    let mut account = series(&mut record, None)?;
    if account.finding.is_none() {
        account.notes.push(format!("{RUNS} runs were recorded"));
    }
    let Some(place) = place(&account).filter(|_| wants_values(&account)) else {
        return Ok(account);
    };
    let again = series(&mut record, Some(place.index))?;
    // What looks like an op's doing while its inputs are trusted may be a write that no op made.
    let is = |account: &Account, kind| account.finding.as_ref().is_some_and(|one| one.kind == kind);
    let unseen = is(&account, Kind::Op) && is(&again, Kind::UnrecordedWrite);
    if self::place(&again).as_ref() == Some(&place) || unseen {
        return Ok(again);
    }
    let elsewhere = self::place(&again).map_or("nowhere".into(), |one| one.op);
    account.notes.push(format!(
        "recorded once more for the values, the runs parted elsewhere ({elsewhere})"
    ));
    Ok(account)
}

fn series(
    record: &mut impl FnMut(Wanted) -> Result<PathBuf>,
    keep: Option<u64>,
) -> Result<Account> {
    let reference = record(Wanted {
        candidate: false,
        keep,
    })?;
    let mut last = None;
    for _ in 1..RUNS {
        let candidate = record(Wanted {
            candidate: true,
            keep,
        })?;
        let account = compare(&reference, &candidate)?;
        fs::remove_dir_all(&candidate).map_err(|e| Error::io("remove", &candidate, e))?;
        let parts = account.finding.is_some();
        last = Some(account);
        if parts {
            break;
        }
    }
    last.ok_or_else(|| Error::Usage("a recorded run has nothing to be compared with".into()))
}

fn place(account: &Account) -> Option<Place> {
    account.finding.as_ref().map(|one| one.place.clone())
}

/// Whether values would tell more; they can be kept of the first thread alone.
fn wants_values(account: &Account) -> bool {
    account
        .finding
        .as_ref()
        .is_some_and(|found| found.first.is_none() && found.thread.number == 0)
}
