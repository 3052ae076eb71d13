//! Where the ends of the audit log's chain are told.

use std::path::PathBuf;

use clap::Args;

/// The variable with the file of the chain's ends.
pub const AUDIT_HEADS: &str = "ENLIST_AUDIT_HEADS";

/// Where the ends of the audit log's chain are told.
#[derive(Debug, Clone, Default, Args)]
pub struct AuditArgs {
    /// A file, best on another machine, to which the end of the audit log's chain is added every five minutes
    #[arg(long, env = AUDIT_HEADS, value_name = "FILE")]
    pub audit_heads: Option<PathBuf>,
}
