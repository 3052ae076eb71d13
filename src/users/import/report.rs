//! What came of an import, added up part by part.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{notes::Notes, shape::Shape};
use crate::{
    http::{error::ApiError, idempotent::Answer},
    invitations::plan::SkipReason,
    users::csv::{
        LineFault,
        told::{ColumnTold, Warning},
    },
};

/// Faults that an answer lists; all are counted.
const LISTED: usize = 1_000;

/// What came of an import.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Report {
    /// Users who were not there before.
    pub created: usize,
    /// Users who were changed.
    pub updated: usize,
    /// Records that left a user as it was.
    pub skipped: usize,
    /// Records that could not be taken.
    pub failed: usize,
    /// What was wrong with them: the first 1,000 faults, in the order of the file.
    pub errors: Vec<LineFault>,
    /// The batches of the invitations that were sent, with `invite=true`.
    pub batch_ids: Vec<Uuid>,
    /// Whom it invited, with `invite=true`.
    pub invited: usize,
    /// What the file was read as: the encoding of its text, or `xlsx`.
    #[schema(examples("utf-8"))]
    pub encoding: String,
    /// What became of each column; a list of addresses has none.
    pub columns: Vec<ColumnTold>,
    /// What to look at again: nothing was refused for it.
    pub warnings: Vec<Warning>,
    /// Whom it created and did not invite, and why.
    #[serde(skip)]
    pub(super) not_invited: BTreeMap<SkipReason, usize>,
    /// What of the records is worth another look.
    #[serde(skip)]
    pub(super) notes: Notes,
}

/// The code of the warning that counts those who are not invited.
const NOT_INVITED: &str = "not_invited";

impl Report {
    /// Of a file before its first record.
    pub(super) fn of(shape: &Shape) -> Self {
        Self {
            encoding: shape.encoding.clone(),
            columns: shape.columns.clone(),
            warnings: shape.warnings.clone(),
            ..Self::default()
        }
    }

    /// Adds what came of the records that follow.
    pub(super) fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.list(other.errors);
        self.batch_ids.extend(other.batch_ids);
        self.invited += other.invited;
        for (reason, count) in other.not_invited {
            *self.not_invited.entry(reason).or_default() += count;
        }
        self.notes.add(other.notes);
        self.count_uninvited();
        self.warnings.retain(|warning| !Notes::are(warning));
        self.warnings.extend(self.notes.warnings());
    }

    /// Says how many are not invited, and why.
    fn count_uninvited(&mut self) {
        self.warnings.retain(|warning| warning.code != NOT_INVITED);
        if self.not_invited.is_empty() {
            return;
        }
        let counts = self.not_invited.iter();
        let counts: Vec<String> = counts
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        let all: usize = self.not_invited.values().sum();
        let detail = format!(
            "{all} of the created users {} not invited: {}",
            if all == 1 { "is" } else { "are" },
            counts.join(", ")
        );
        self.warnings.push(Warning::new(NOT_INVITED, detail));
    }

    /// Adds what came of other records of the same part of the file.
    pub(super) fn mix(&mut self, other: Self) {
        let mut errors = std::mem::take(&mut self.errors);
        errors.extend(other.errors);
        // Both are the first of their kind, so the first of them all are among them.
        errors.sort_by_key(|fault| fault.line);
        self.add(Self { errors, ..other });
    }

    fn list(&mut self, faults: Vec<LineFault>) {
        let room = LISTED.saturating_sub(self.errors.len());
        self.errors.extend(faults.into_iter().take(room));
    }

    pub(super) fn refuse(&mut self, faults: Vec<LineFault>) {
        self.failed += 1;
        self.list(faults);
    }

    /// Of a file that is taken as a whole or not at all: only what is wrong with it.
    pub(super) fn of_refusal(self) -> Self {
        let mut refusal = Self {
            failed: self.failed,
            errors: self.errors,
            columns: self.columns,
            warnings: self.warnings,
            encoding: self.encoding,
            ..Self::default()
        };
        refusal.count_uninvited();
        refusal
    }

    /// As it is answered with.
    pub(super) fn answer(&self) -> Result<Answer, ApiError> {
        Ok(Answer {
            status: 200,
            location: None,
            body: serde_json::to_string(self).map_err(ApiError::internal)?,
            about: None,
            replayed: false,
        })
    }
}
