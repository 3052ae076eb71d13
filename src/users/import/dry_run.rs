//! What would come of an import: nothing is stored and nothing is locked, so nobody waits for it and it
//! waits for nobody.
//!
//! Every chunk is looked at as the users are at that moment. What the chunks before it would have done is
//! known without storing it: of names and addresses that the file gave away, each is in the file once
//! ([`Chunks`] sees to that), and of those that it took away from somebody, this keeps a list.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    error::ImportError,
    file::{Chunk, Chunks, Upload},
    holders::{self, Holder, Holders},
    invite::uninvited,
    options::{OnConflict, Options, Tools},
    progress::Progress,
    queries,
    report::Report,
    shape::Shape,
    store::{Prepared, Ready, ids_of, plan},
};
use crate::{model::identity::name_key, users::profile::Profile};

pub(super) async fn import(
    upload: &Upload,
    shape: &Shape,
    options: &Options,
    tools: &Tools,
    progress: &Progress,
) -> Result<Report, ImportError> {
    let mut report = Report::of(shape);
    let mut chunks = Chunks::of(upload)?;
    let mut before = Before::default();
    loop {
        let (next, chunk) = chunks.advanced().await?;
        chunks = next;
        let Some(chunk) = chunk else { break };
        progress.check()?;
        let read = chunk.read;
        report.add(foresee(chunk, options, tools, &mut before).await?);
        progress.add(read);
    }
    if options.atomic && report.failed > 0 {
        return Ok(report.of_refusal());
    }
    Ok(report)
}

/// A username and an address, in lower case.
type Names = (String, Option<String>);

fn names_of(profile: &Profile) -> Names {
    let email = profile.email.as_ref();
    (
        name_key(&profile.username),
        email.map(|email| name_key(email)),
    )
}

/// What the chunks before would have done.
#[derive(Default)]
struct Before {
    /// The users that they are about, each with its line.
    changed: HashMap<Uuid, u32>,
    /// Users who would have another name or address by now.
    renamed: HashMap<Uuid, Names>,
}

impl Before {
    fn correct(&self, holders: Holders, username: &str, email: Option<&str>) -> Holders {
        let still = |holder: Holder, name: &str| match self.renamed.get(&holder.id) {
            None => Some(holder),
            Some((username, email)) => {
                let name = name_key(name);
                let holder = Holder {
                    is_username: *username == name,
                    is_email: email.as_ref() == Some(&name),
                    ..holder
                };
                Some(holder).filter(|holder| holder.is_username || holder.is_email)
            }
        };
        Holders {
            of_username: holders.of_username.and_then(|held| still(held, username)),
            of_email: holders.of_email.and_then(|held| still(held, email?)),
        }
    }
}

async fn foresee(
    chunk: Chunk,
    options: &Options,
    tools: &Tools,
    before: &mut Before,
) -> Result<Report, ImportError> {
    let rows = chunk.rows.into_iter();
    let prepared = Arc::new(Prepared {
        // Nothing is hashed for nothing.
        ready: rows
            .map(|mut row| Ready {
                has_password: row.password.take().is_some(),
                password_hash: None,
                row,
            })
            .collect(),
        names: chunk.names,
        refused: chunk.refused,
    });
    let asked = Arc::clone(&prepared);
    let holders = tools
        .db
        .read(move |connection| holders::of(connection, &asked.usernames(), &asked.emails()))
        .await?;
    let holders: Vec<Holders> = holders
        .into_iter()
        .zip(&prepared.ready)
        .map(|(holders, ready)| before.correct(holders, ready.row.username(), ready.row.email()))
        .collect();
    let profiles = match options.on_conflict {
        OnConflict::Update => {
            let ids = ids_of(&holders);
            let profiles = move |connection: &mut _| queries::profiles(connection, &ids);
            tools.db.read(profiles).await?
        }
        OnConflict::Fail | OnConflict::Skip => HashMap::new(),
    };
    let names: HashMap<Uuid, Names> = profiles
        .iter()
        .map(|(id, profile)| (*id, names_of(profile)))
        .collect();
    let plan = plan(
        &prepared,
        holders,
        profiles,
        &before.changed,
        options.on_conflict,
        &options.trail.clock,
    );
    let left: HashSet<Uuid> = plan.left.iter().copied().collect();
    let memberships: Vec<(Uuid, String)> = plan
        .memberships(&HashSet::new())
        .into_iter()
        .filter(|(id, _)| left.contains(id))
        .map(|(id, name)| (id, name.to_owned()))
        .collect();
    let joining = tools
        .db
        .read(move |connection| queries::joining(connection, &memberships))
        .await?;
    let joining = plan.left.iter().filter(|id| joining.contains(id)).count();
    for user in &plan.changes {
        let now = names_of(&user.profile);
        if names.get(&user.id).is_some_and(|then| *then != now) {
            before.renamed.insert(user.id, now);
        }
    }
    let newcomers = plan.newcomers();
    before.changed.extend(plan.here);
    let mut report = Report {
        created: plan.creations.len(),
        updated: plan.changes.len() + joining,
        skipped: plan.left.len() - joining,
        ..Report::default()
    };
    if let Some(keys) = options.invite.clone() {
        let counts = move |connection: &mut _| uninvited(connection, &keys, &newcomers);
        report.not_invited = tools.db.read(counts).await?;
        report.invited = plan.creations.len() - report.not_invited.values().sum::<usize>();
    }
    report.mix(plan.report);
    report.mix(prepared.refused.clone());
    Ok(report)
}
