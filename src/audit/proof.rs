//! Events that excuse something: that a person's details are gone, that nobody signed. They count only where they are
//! genuine.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    dsl::{exists, select},
    prelude::*,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    domain::{Action, SubjectKind},
    evidence::{self, LinkRow},
    rows::{Authenticity, EventRow},
    signature::Found,
};
use crate::{db::DbError, schema::audit_links, secrets::keys::KeyRing};

/// How long after an upgrade instances of the older version may still write and not sign.
const GRACE: TimeDelta = TimeDelta::hours(24);

/// What the log itself says of an upgrade, and how events that excuse something are found.
pub(super) struct Proof<'a> {
    keys: &'a KeyRing,
    /// Where the chain begins.
    beginning: i64,
    /// The link of the upgrade, when it was made, and the accounts of whom no event told then.
    upgrade: Option<(i64, DateTime<Utc>, Vec<Uuid>)>,
    /// The first and the last link of this version, if there is any.
    first: Option<i64>,
    last: Option<i64>,
    /// Whether there is anything that an older version left.
    has_older: bool,
    now: DateTime<Utc>,
    /// Whether what was asked of somebody lately is told of: events of one come close to each other.
    asked: HashMap<(Uuid, Action), bool>,
}

/// Answers that are remembered.
const REMEMBERED: usize = 10_000;

/// The accounts that the event of an upgrade names, if its details are those that were written.
fn accounts_of(event: &EventRow, row: &LinkRow) -> Vec<Uuid> {
    let hash = event.details_hash.as_deref();
    let after = row
        .after
        .as_deref()
        .filter(|_| hash.is_some_and(|hash| row.has_details_of(hash)));
    let accounts = after.and_then(|after| {
        let mut details: Value = serde_json::from_str(after).ok()?;
        serde_json::from_value(details.get_mut("accounts")?.take()).ok()
    });
    accounts.unwrap_or_default()
}

impl<'a> Proof<'a> {
    pub(super) fn of(
        connection: &mut PgConnection,
        keys: &'a KeyRing,
        beginning: i64,
        now: DateTime<Utc>,
    ) -> Result<Self, DbError> {
        let (first, last) = audit_links::table
            .filter(audit_links::position.gt(beginning))
            .filter(audit_links::hash.is_not_null())
            .select((
                diesel::dsl::min(audit_links::position),
                diesel::dsl::max(audit_links::position),
            ))
            .first(connection)?;
        let has_older: bool = select(exists(
            audit_links::table
                .filter(audit_links::hash.is_null())
                .select(audit_links::position),
        ))
        .get_result(connection)?;
        let mut proof = Self {
            keys,
            beginning,
            upgrade: None,
            first,
            last,
            has_older: has_older || beginning > 0,
            now,
            asked: HashMap::new(),
        };
        let told = evidence::done_to(connection, &[Action::AuditUpgraded], None, beginning)?;
        let mut genuine = told
            .into_iter()
            .filter(|(event, row)| proof.is_genuine(event, row) && Some(row.position) == first);
        if let Some((event, row)) = genuine.next()
            && let Some(linked_at) = row.linked_at
        {
            // Only links of an older version make an upgrade.
            let is_behind_older: bool = select(exists(
                audit_links::table
                    .filter(audit_links::position.eq(row.position - 1))
                    .filter(audit_links::hash.is_null())
                    .select(audit_links::position),
            ))
            .get_result(connection)?;
            if is_behind_older || (beginning > 0 && row.position == beginning + 1) {
                proof.upgrade = Some((row.position, linked_at, accounts_of(&event, &row)));
            }
        }
        Ok(proof)
    }

    /// Whether the writer's signature was checked here, or by whoever linked the event.
    pub(super) fn is_genuine(&self, event: &EventRow, row: &LinkRow) -> bool {
        match event.authenticity(self.keys) {
            Authenticity::Genuine => true,
            Authenticity::Unchecked(_) => match row.found.and_then(Found::stored) {
                Some(found) => found == Found::Genuine,
                // An older version looked at none; whoever linked behind it did.
                None => row.is_linked() && self.last.is_some_and(|last| row.position < last),
            },
            Authenticity::Unsigned | Authenticity::Changed => false,
        }
    }

    /// The same, or of an older version, whose links alone say so.
    fn counts(&self, event: &EventRow, row: &LinkRow) -> bool {
        self.is_genuine(event, row)
            || event.mac.is_none()
                && (row.is_linked() && row.hash.is_none() || self.allows_unsigned(row.linked_at))
    }

    /// Whether no link is one of this version.
    pub(super) fn is_of_older(&self) -> bool {
        self.first.is_none()
    }

    /// When this version took over, if an older one was there before.
    pub(super) fn upgraded_at(&self) -> Option<DateTime<Utc>> {
        self.upgrade
            .as_ref()
            .map(|(_, upgraded_at, _)| *upgraded_at)
    }

    /// Whether an event that was linked then (`None`: that is not linked yet) may be one of an older version.
    pub(super) fn allows_unsigned(&self, linked_at: Option<DateTime<Utc>>) -> bool {
        match &self.upgrade {
            Some((_, upgraded_at, _)) => linked_at.unwrap_or(self.now) <= *upgraded_at + GRACE,
            // Older links, and nobody has taken over yet.
            None => linked_at.is_none() && self.first.is_none() && self.has_older,
        }
    }

    /// Whether no event told of an account at the upgrade.
    pub(super) fn is_of_upgrade(&self, account: Uuid) -> bool {
        let upgrade = self.upgrade.as_ref();
        upgrade.is_some_and(|(_, _, accounts)| accounts.contains(&account))
    }

    /// Whether the details of an event may be gone.
    pub(super) fn may_lack_details(
        &mut self,
        connection: &mut PgConnection,
        event: &EventRow,
    ) -> Result<bool, DbError> {
        let deleted = (event.person_id, Action::UserDeleted);
        let of_operator = event.subject_kind == SubjectKind::Operator.as_str();
        let erased = (
            event.subject_id.filter(|_| of_operator),
            Action::OperatorErased,
        );
        for (subject, action) in [deleted, erased] {
            let Some(subject) = subject else { continue };
            let is_told = match self.asked.get(&(subject, action)) {
                Some(is_told) => *is_told,
                None => {
                    let subjects = Some(&[subject][..]);
                    let told = evidence::done_to(connection, &[action], subjects, self.beginning)?;
                    let is_told = told.iter().any(|(event, row)| self.counts(event, row));
                    if self.asked.len() >= REMEMBERED {
                        self.asked.clear();
                    }
                    self.asked.insert((subject, action), is_told);
                    is_told
                }
            };
            if is_told {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the operator who did it was erased, and the event with who it was.
    pub(super) fn is_operator_erased(
        &self,
        connection: &mut PgConnection,
        event: &EventRow,
    ) -> Result<bool, DbError> {
        let Some(operator) = event.actor_id else {
            return Ok(false);
        };
        let action = Action::OperatorErased;
        let told = evidence::done_to(connection, &[action], Some(&[operator]), self.beginning)?;
        Ok(told
            .iter()
            .any(|(erased, row)| self.is_genuine(erased, row)))
    }

    /// API keys and operators who are let in, and of whom no event, or none that is signed, tells who made them, or one tells
    /// of their end.
    pub(super) fn accounts_to_tell(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<Untold>, DbError> {
        let accounts = evidence::accounts(connection)?;
        let actions = [KEY, OPERATOR].concat();
        let mut untold = Vec::new();
        for some in accounts.chunks(evidence::AT_ONCE) {
            let subjects: Vec<Uuid> = some.iter().map(|account| account.id).collect();
            let told = evidence::done_to(connection, &actions, Some(&subjects), self.beginning)?;
            for account in some {
                let of_kind = if account.kind == SubjectKind::Operator {
                    OPERATOR
                } else {
                    KEY
                };
                let mut made = Made::Untold;
                for (event, row) in &told {
                    if event.subject_id != Some(account.id) {
                        continue;
                    }
                    let is = |action: &Action| event.action == action.as_str();
                    let counts = self.counts(event, row);
                    if of_kind[1..].iter().any(is) && counts {
                        made = Made::Ended;
                    } else if is(&of_kind[0]) && made != Made::Ended {
                        // A shell may have no keys.
                        let is_unsigned = event.mac.is_none() && event.is_from_a_shell();
                        if counts {
                            made = Made::Told;
                        } else if is_unsigned && made == Made::Untold {
                            made = Made::Unsigned;
                        }
                    }
                }
                if made != Made::Told {
                    untold.push(Untold {
                        kind: account.kind,
                        id: account.id,
                        name: account.name.clone(),
                        created_at: account.created_at,
                        made,
                    });
                }
            }
        }
        Ok(untold)
    }
}

/// What tells who made an API key, and what tells of its end.
const KEY: &[Action] = &[Action::ApiKeyCreated, Action::ApiKeyRevoked];
/// The same of an operator.
const OPERATOR: &[Action] = &[
    Action::OperatorCreated,
    Action::OperatorDeleted,
    Action::OperatorErased,
];

/// What the log tells of who made an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Told,
    /// An event of a shell without keys.
    Unsigned,
    Untold,
    /// It is let in, and an event tells of its end.
    Ended,
}

/// An API key or operator whose making no signed event tells of.
pub(super) struct Untold {
    pub(super) kind: SubjectKind,
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) made: Made,
}
