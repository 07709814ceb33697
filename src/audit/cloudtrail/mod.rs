//! CloudTrail as a witness: what AWS wrote down, held against our own log.
//!
//! Both sides are joined by request id, else by the session tag, else by role, session name and
//! time; never by access key, of which console sessions have another. Never here: I/O. Entry
//! points: [`Trail::read`], [`Ledger::compare`].

mod ledger;
mod trail;

pub use ledger::{Comparison, Finding, FindingKind, Ledger};
pub use trail::{Issuance, NotATrail, Trail};
