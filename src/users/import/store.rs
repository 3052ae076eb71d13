//! What becomes of the users of a file, and storing them: a fixed number of statements a chunk.

use std::collections::{HashMap, HashSet};

use diesel::PgConnection;
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    OnConflict, Options, Report,
    queries::{self, Holders, Stored},
};
use crate::{
    clock::Clock,
    db::DbError,
    invitations::send,
    users::{
        csv::{LineFault, Row},
        domain::{PatchUser, Profile},
    },
    wire::Flaw,
};

/// A row whose password, if it has one, is hashed.
pub(super) struct Ready {
    pub(super) row: Row,
    /// Also in a dry run, which hashes nothing.
    pub(super) has_password: bool,
    pub(super) password_hash: Option<SecretString>,
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

/// Stores rows. `changed` are the users that the file had before.
pub(super) fn store(
    connection: &mut PgConnection,
    clock: &Clock,
    options: &Options,
    ready: &[Ready],
    changed: &HashMap<Uuid, u32>,
) -> Result<Done, DbError> {
    let usernames: Vec<&str> = ready.iter().map(|ready| ready.row.username()).collect();
    let emails: Vec<Option<&str>> = ready.iter().map(|ready| ready.row.email()).collect();
    let holders = queries::holders(connection, &usernames, &emails)?;
    let mut done = Done::default();
    let mut profiles = if options.on_conflict == OnConflict::Update {
        let mut ids: Vec<Uuid> = holders
            .iter()
            .filter_map(|holder| holder.of_username.or(holder.of_email))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        queries::lock_profiles(connection, &ids)?
    } else {
        HashMap::new()
    };
    let mut here: HashMap<Uuid, u32> = HashMap::new();
    let fates: Vec<Fate> = ready
        .iter()
        .zip(holders)
        .map(|(ready, holders)| {
            decide(
                ready,
                holders,
                options.on_conflict,
                &mut profiles,
                |id| {
                    let line = changed.get(&id).or(here.get(&id)).copied();
                    here.insert(id, ready.row.line);
                    line
                },
                clock,
            )
        })
        .collect();

    let now = clock.now();
    let (mut creations, mut changes) = (Vec::new(), Vec::new());
    // Who joins which groups, and the row that says so.
    let mut members: Vec<(Uuid, &Ready)> = Vec::new();
    let mut left = Vec::new();
    let mut disabled = Vec::new();
    for (fate, ready) in fates.into_iter().zip(ready) {
        match fate {
            Fate::Create(user) => {
                members.push((user.id, ready));
                creations.push(user);
            }
            Fate::Change(user) => {
                members.push((user.id, ready));
                if !user.profile.enabled {
                    disabled.push(user.id);
                }
                changes.push(user);
            }
            Fate::Leave(id) => {
                if options.on_conflict == OnConflict::Update {
                    members.push((id, ready));
                }
                left.push(id);
            }
            Fate::Refuse(faults) => done.report.refuse(faults),
        }
    }
    let created = queries::insert(connection, &creations, now)?;
    queries::update(connection, &changes, now)?;
    send::end_pending(connection, disabled.into_iter(), "revoked", now)?;

    // Somebody was quicker with the name or the address.
    let lost: HashSet<Uuid> = creations
        .iter()
        .map(|user| user.id)
        .filter(|id| !created.contains(id))
        .collect();
    for (_, ready) in members.iter().filter(|(id, _)| lost.contains(id)) {
        match options.on_conflict {
            OnConflict::Skip => done.report.skipped += 1,
            OnConflict::Fail | OnConflict::Update => {
                done.report.refuse(vec![taken(&ready.row, "username")]);
            }
        }
    }
    let memberships: Vec<(Uuid, &str)> = members
        .iter()
        .filter(|(id, _)| !lost.contains(id))
        .flat_map(|(id, ready)| ready.row.groups.iter().map(|name| (*id, name.as_str())))
        .collect();
    let joined = queries::join_groups(connection, clock, &memberships)?;

    done.report.created = created.len();
    done.report.updated = changes.len() + left.iter().filter(|id| joined.contains(id)).count();
    done.report.skipped += left.iter().filter(|id| !joined.contains(id)).count();
    done.created = creations
        .iter()
        .map(|user| user.id)
        .filter(|id| created.contains(id))
        .collect();
    done.changed = here.into_iter().collect();
    Ok(done)
}

fn taken(row: &Row, column: &str) -> LineFault {
    LineFault::of_cell(
        row.line,
        column,
        Flaw::new("already_exists", "another user has it already"),
    )
}

/// Decides about one row. `before` says on which line the file had the user already.
fn decide(
    ready: &Ready,
    holders: Holders,
    on_conflict: OnConflict,
    profiles: &mut HashMap<Uuid, Profile>,
    mut before: impl FnMut(Uuid) -> Option<u32>,
    clock: &Clock,
) -> Fate {
    let row = &ready.row;
    let Some(id) = holders.of_username.or(holders.of_email) else {
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
            let columns = [
                holders.of_username.map(|_| "username"),
                holders.of_email.map(|_| "email"),
            ];
            let named: Vec<LineFault> = columns
                .into_iter()
                .flatten()
                .map(|column| taken(row, column))
                .collect();
            return Fate::Refuse(named);
        }
        OnConflict::Update => {}
    }
    // The username says who it is; the address must not be somebody else's then.
    if holders.of_email.is_some_and(|other| other != id) {
        return Fate::Refuse(vec![taken(row, "email")]);
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
