//! What becomes of the users of a file, and storing them: a fixed number of statements a chunk.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use diesel::PgConnection;
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    holders::{self, Holder, Holders},
    invite::Newcomer,
    options::{OnConflict, Options},
    queries::{self, Stored},
    report::Report,
};
use crate::{
    clock::Clock,
    db::DbError,
    invitations::ending,
    model::{invitation::State, wire::Flaw},
    users::{
        csv::{LineFault, Row, columns::Names},
        domain::PatchUser,
        profile::Profile,
    },
};

/// A row whose password, if it has one, is hashed.
pub(super) struct Ready {
    pub(super) row: Row,
    /// Also in a dry run, which hashes nothing.
    pub(super) has_password: bool,
    pub(super) password_hash: Option<SecretString>,
}

/// A chunk, ready to be stored.
pub(super) struct Prepared {
    pub(super) ready: Vec<Ready>,
    pub(super) names: Arc<Names>,
    /// What came of the chunk's other records.
    pub(super) refused: Report,
}

impl Prepared {
    pub(super) fn usernames(&self) -> Vec<&str> {
        let rows = self.ready.iter();
        rows.map(|ready| ready.row.username()).collect()
    }

    pub(super) fn emails(&self) -> Vec<Option<&str>> {
        self.ready.iter().map(|ready| ready.row.email()).collect()
    }
}

/// What to do where somebody was quicker with a name or an address.
#[derive(Clone, Copy)]
pub(super) enum Lost {
    /// Give up: a repeat sees who has it.
    Repeat,
    /// Report it: repeats did not help.
    Report,
}

/// What storing a chunk did; it counts once it is committed.
#[derive(Default)]
pub(super) struct Done {
    pub(super) report: Report,
    pub(super) created: Vec<Uuid>,
    pub(super) changed: Vec<(Uuid, u32)>,
}

/// What is to become of one row.
enum Fate {
    Create(Stored),
    Change(Stored),
    /// The user stays as it is; it may still join groups.
    Leave(Uuid),
    Refuse(Vec<LineFault>),
}

/// What is to become of a chunk.
#[derive(Default)]
pub(super) struct Plan<'a> {
    /// Of the rows that are refused.
    pub(super) report: Report,
    pub(super) creations: Vec<Stored>,
    pub(super) changes: Vec<Stored>,
    /// Who stays as they are, unless they join a group.
    pub(super) left: Vec<Uuid>,
    /// Who joins which groups, and the row that says so.
    members: Vec<(Uuid, &'a Ready)>,
    disabled: Vec<Uuid>,
    /// The users that the chunk is about, and where.
    pub(super) here: HashMap<Uuid, u32>,
}

impl Plan<'_> {
    /// Those who are to be created, as far as inviting them goes.
    pub(super) fn newcomers(&self) -> Vec<Newcomer> {
        let rows: HashMap<Uuid, &Ready> = self.members.iter().copied().collect();
        let creations = self.creations.iter();
        creations
            .filter_map(|user| {
                let ready = rows.get(&user.id)?;
                Some(Newcomer {
                    id: user.id,
                    email: user.profile.email.clone(),
                    enabled: user.profile.enabled,
                    has_password: ready.has_password,
                    groups: ready.row.groups.clone(),
                })
            })
            .collect()
    }

    /// Who joins which groups, but for those who are `lost`.
    pub(super) fn memberships(&self, lost: &HashSet<Uuid>) -> Vec<(Uuid, &str)> {
        self.members
            .iter()
            .filter(|(id, _)| !lost.contains(id))
            .flat_map(|(id, ready)| ready.row.groups.iter().map(|name| (*id, name.as_str())))
            .collect()
    }
}

/// The users that holders are, each once.
pub(super) fn ids_of(holders: &[Holders]) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = holders.iter().filter_map(Holders::user).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Decides about every row. `changed` are the users that the file had before.
pub(super) fn plan<'a>(
    prepared: &'a Prepared,
    holders: Vec<Holders>,
    mut profiles: HashMap<Uuid, Profile>,
    changed: &HashMap<Uuid, u32>,
    on_conflict: OnConflict,
    clock: &Clock,
) -> Plan<'a> {
    let mut plan = Plan::default();
    for (ready, holders) in prepared.ready.iter().zip(holders) {
        let here = &mut plan.here;
        let before = |id| {
            let line = changed.get(&id).or(here.get(&id)).copied();
            here.insert(id, ready.row.line);
            line
        };
        let names = &prepared.names;
        match decide(
            ready,
            names,
            holders,
            on_conflict,
            &mut profiles,
            before,
            clock,
        ) {
            Fate::Create(user) => {
                plan.members.push((user.id, ready));
                plan.creations.push(user);
            }
            Fate::Change(user) => {
                plan.members.push((user.id, ready));
                if !user.profile.enabled {
                    plan.disabled.push(user.id);
                }
                plan.changes.push(user);
            }
            Fate::Leave(id) => {
                if on_conflict == OnConflict::Update {
                    plan.members.push((id, ready));
                }
                plan.left.push(id);
            }
            Fate::Refuse(faults) => plan.report.refuse(faults),
        }
    }
    plan
}

/// Stores a chunk. `changed` are the users that the file had before.
pub(super) fn store(
    connection: &mut PgConnection,
    clock: &Clock,
    options: &Options,
    prepared: &Prepared,
    changed: &HashMap<Uuid, u32>,
    when_lost: Lost,
) -> Result<Done, DbError> {
    let holders = holders::of(connection, &prepared.usernames(), &prepared.emails())?;
    let profiles = match options.on_conflict {
        OnConflict::Update => queries::lock_profiles(connection, &ids_of(&holders))?,
        OnConflict::Fail | OnConflict::Skip => HashMap::new(),
    };
    let mut plan = plan(
        prepared,
        holders,
        profiles,
        changed,
        options.on_conflict,
        clock,
    );
    let now = clock.now();
    let created = queries::insert(connection, &plan.creations, now)?;
    queries::update(connection, &plan.changes, now)?;
    let disabled = std::mem::take(&mut plan.disabled);
    ending::end_pending(connection, disabled.into_iter(), State::Revoked, now)?;

    let lost: HashSet<Uuid> = plan
        .creations
        .iter()
        .map(|user| user.id)
        .filter(|id| !created.contains(id))
        .collect();
    let mut done = Done::default();
    match when_lost {
        _ if lost.is_empty() => {}
        Lost::Repeat => {
            return Err(queries::others_were_quicker());
        }
        Lost::Report => done.report = lose(connection, options, prepared, &plan, &lost)?,
    }
    let joined = queries::join_groups(connection, clock, &plan.memberships(&lost))?;

    let joining = plan.left.iter().filter(|id| joined.contains(id)).count();
    done.report.created = created.len();
    done.report.updated = plan.changes.len() + joining;
    done.report.skipped += plan.left.len() - joining;
    done.report.mix(plan.report);
    done.report.mix(prepared.refused.clone());
    done.created = plan
        .creations
        .iter()
        .map(|user| user.id)
        .filter(|id| created.contains(id))
        .collect();
    done.changed = plan.here.into_iter().collect();
    Ok(done)
}

/// What is reported of those who could not be created: asks again who has their names.
fn lose(
    connection: &mut PgConnection,
    options: &Options,
    prepared: &Prepared,
    plan: &Plan,
    lost: &HashSet<Uuid>,
) -> Result<Report, DbError> {
    let rows = plan.members.iter().filter(|(id, _)| lost.contains(id));
    let rows: Vec<&Row> = rows.map(|(_, ready)| &ready.row).collect();
    let usernames: Vec<&str> = rows.iter().map(|row| row.username()).collect();
    let emails: Vec<Option<&str>> = rows.iter().map(|row| row.email()).collect();
    let holders = holders::of(connection, &usernames, &emails)?;
    let mut report = Report::default();
    for (row, holders) in rows.into_iter().zip(holders) {
        if options.on_conflict == OnConflict::Skip {
            report.skipped += 1;
        } else {
            report.refuse(held(row, &prepared.names, holders, None));
        }
    }
    Ok(report)
}

/// The faults of a row of which others than `user` have the name or the address.
fn held(row: &Row, names: &Names, holders: Holders, user: Option<Uuid>) -> Vec<LineFault> {
    let is_other = |holder: &Holder| Some(holder.id) != user;
    let username = holders.of_username.filter(is_other);
    let email = holders.of_email.filter(is_other);
    let mut columns = Vec::new();
    columns.extend(username.map(|_| names.of_username(row)));
    columns.extend(email.map(|_| names.of("email")));
    // An address that is the username too is told once.
    columns.dedup();
    columns
        .into_iter()
        .map(|column| {
            let flaw = Flaw::new("already_exists", "another user has it already");
            LineFault::of_cell(row.line, column, flaw)
        })
        .collect()
}

/// Decides about one row. `before` says on which line the file had the user already.
fn decide(
    ready: &Ready,
    names: &Names,
    holders: Holders,
    on_conflict: OnConflict,
    profiles: &mut HashMap<Uuid, Profile>,
    mut before: impl FnMut(Uuid) -> Option<u32>,
    clock: &Clock,
) -> Fate {
    let row = &ready.row;
    let Some(id) = holders.user() else {
        // As the other of the two.
        let faults = held(row, names, holders, None);
        if !faults.is_empty() {
            return Fate::Refuse(faults);
        }
        return match row.user.clone().profile() {
            Ok(profile) => Fate::Create(Stored {
                id: clock.new_id(),
                profile,
                password_hash: ready.password_hash.clone(),
            }),
            Err(faults) => Fate::Refuse(
                faults
                    .0
                    .into_iter()
                    .map(|fault| {
                        LineFault::of_record(row.line, Flaw::new(fault.code, fault.detail))
                    })
                    .collect(),
            ),
        };
    };
    match on_conflict {
        OnConflict::Skip => return Fate::Leave(id),
        OnConflict::Fail => {
            return Fate::Refuse(held(row, names, holders, None));
        }
        OnConflict::Update => {}
    }
    // Neither name may be somebody else's then.
    let faults = held(row, names, holders, Some(id));
    if !faults.is_empty() {
        return Fate::Refuse(faults);
    }
    if let Some(line) = before(id) {
        let flaw = Flaw::new(
            "repeated_in_file",
            format!("line {line} is about the same user"),
        );
        return Fate::Refuse(vec![LineFault::of_record(row.line, flaw)]);
    }
    // Deleted since it was found: as good as crossed by somebody, and rare.
    let Some(profile) = profiles.remove(&id) else {
        let flaw = Flaw::new(
            "already_exists",
            "the user was just deleted; import the line again",
        );
        return Fate::Refuse(vec![LineFault::of_record(row.line, flaw)]);
    };
    let mut changed = profile.clone();
    if let Err(faults) = changed.apply(PatchUser::from(row.user.clone())) {
        let faults = faults.0.into_iter();
        return Fate::Refuse(
            faults
                .map(|fault| LineFault::of_record(row.line, Flaw::new(fault.code, fault.detail)))
                .collect(),
        );
    }
    if changed == profile && !ready.has_password {
        return Fate::Leave(id);
    }
    Fate::Change(Stored {
        id,
        profile: changed,
        password_hash: ready.password_hash.clone(),
    })
}
