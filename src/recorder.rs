//! [`compare`]: what two runs did, op by op, and the first place where they part. Reads the streams that the recorder
//! (`recorder/native`) wrote inside each process; knows nothing of how they came about.

use std::path::Path;

use crate::error::{Error, Result};

pub mod advice;
pub mod align;
mod cause;
mod collective;
mod context;
mod cursor;
mod detail;
pub mod finding;
mod folder;
mod header;
mod index;
mod judge;
pub mod known;
pub mod library;
mod op;
mod order;
mod places;
mod race;
mod search;
mod sides;
mod source;
mod stream;
mod texts;
mod wake;
mod walk;

pub use finding::{Account, Finding, Kind, Place};
pub use order::{Ops, Order, Steps, VARIABLE};
pub use search::{Wanted, search};

/// Compares what two runs did, from the folders that hold their streams.
///
/// # Errors
/// When a folder cannot be read, a stream is damaged, or nothing was recorded that could be compared. A stream that was
/// cut off is read as far as it goes, and the account says so.
pub fn compare(reference: &Path, candidate: &Path) -> Result<Account> {
    let mut ours = folder::Run::open(reference)?;
    let mut theirs = folder::Run::open(candidate)?;
    folder::Run::in_step(&mut ours, &mut theirs, candidate)?;
    let account = cause::account(&ours, &theirs);
    for run in [&ours, &theirs] {
        run.check()?;
    }
    if account.finding.is_none() && account.compared.hashed == 0 {
        let what = format!(
            "nothing was compared: {} ops ran in both runs, and no result of theirs was hashed",
            account.compared.ops
        );
        return Err(Error::input(reference, what));
    }
    Ok(account)
}
