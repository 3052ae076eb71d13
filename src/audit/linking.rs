//! The chain: each link is a MAC over the link before and an event. Made by one instance at a time, outside of requests.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chrono::TimeDelta;
use diesel::{
    prelude::*,
    sql_types::{BigInt, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    domain::{Action, Actor, ActorKind, Event, SubjectKind},
    ends, evidence, forgetting,
    heads::{self, Head},
    queries::{self, New},
    rows::{Authenticity, COLUMNS, EventRow},
    signature::Link,
    telling::{self, End},
};
use crate::{
    clock::Clock,
    db::{Db, DbError},
    schema::{audit_links, audit_unlinked},
    secrets::keys::KeyRing,
};

/// How often what was committed is linked.
const LINK_EVERY: Duration = Duration::from_secs(1);
/// The chain's end is told every so many times,
const TELL_EVERY: u32 = 300;
/// and what is old is forgotten.
const FORGET_EVERY: u32 = 600;
/// So often in a row somebody else may have the lock.
const KEPT_OUT: u32 = 60;
/// Events that one transaction links.
const AT_ONCE: i64 = 1_000;

/// Links events, and remembers where the chain ended.
pub struct Linker {
    db: Db,
    keys: Arc<KeyRing>,
    clock: Clock,
    /// How long events are kept; `None`: for ever.
    keep: Option<TimeDelta>,
    /// The file that ends are told to.
    file: Option<PathBuf>,
    /// The last end that is known here: the chain must not be shorter.
    known: Option<Head>,
    /// The last end that was told.
    told: Option<Head>,
    /// How often in a row events waited and somebody else had the lock.
    kept_out: u32,
}

impl Linker {
    /// Begins with the end that the file tells of, if there is one.
    pub fn new(
        db: Db,
        keys: Arc<KeyRing>,
        clock: Clock,
        keep: Option<TimeDelta>,
        file: Option<PathBuf>,
    ) -> Self {
        let noted = match &file {
            Some(path) if path.exists() => heads::read_file(path).unwrap_or_else(|error| {
                tracing::warn!(%error, file = %path.display(), "ENLIST_AUDIT_HEADS: cannot be read");
                Vec::new()
            }),
            _ => Vec::new(),
        };
        let ours = noted.into_iter().filter(|noted| noted.is_ours(&keys));
        let known = ours
            .map(|noted| noted.head)
            .max_by_key(|head| head.position);
        Self {
            db,
            keys,
            clock,
            keep,
            file,
            known,
            told: None,
            kept_out: 0,
        }
    }

    /// Links, tells and forgets, until it is dropped.
    pub async fn run(mut self) {
        let mut rounds: u32 = 0;
        loop {
            tokio::time::sleep(LINK_EVERY).await;
            if let Err(error) = self.link().await {
                tracing::warn!(%error, "the audit log's chain cannot be continued; trying again");
            }
            rounds = rounds.wrapping_add(1);
            if (rounds == 1 || rounds.is_multiple_of(TELL_EVERY))
                && let Err(error) = self.tell().await
            {
                tracing::warn!(%error, "the audit log's end cannot be told; trying again");
            }
            if let Some(keep) = self.keep
                && rounds.is_multiple_of(FORGET_EVERY)
                && let Err(error) =
                    forgetting::forget(&self.db, &self.keys, self.clock.now() - keep).await
            {
                tracing::warn!(%error, "old audit events cannot be forgotten");
            }
        }
    }

    /// Links all that is committed and not linked yet, unless another instance is at it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn link(&mut self) -> Result<(), DbError> {
        loop {
            let (keys, clock) = (Arc::clone(&self.keys), self.clock.clone());
            let known = self.known.clone();
            let linked = self
                .db
                .transaction(move |connection| link_some(connection, &keys, &clock, known))
                .await?;
            self.kept_out = if linked.is_kept_out {
                self.kept_out.wrapping_add(1)
            } else {
                0
            };
            // Another instance has it for moments.
            if self.kept_out > 0 && self.kept_out.is_multiple_of(KEPT_OUT) {
                tracing::error!(
                    "the audit log's events are not linked, since another session of the database has held their \
                     advisory lock for a minute: look for it in pg_locks"
                );
            }
            if let Some(lost) = &linked.lost {
                tracing::error!(
                    %lost,
                    "the audit log's chain no longer has this end; a failover lost commits, or somebody changed the \
                     database: run `enlist audit verify`"
                );
            }
            if linked.changed > 0 {
                tracing::error!(
                    events = linked.changed,
                    "audit events are not what their writers wrote: run `enlist audit verify`"
                );
            }
            if linked.end.is_some() {
                self.known = linked.end;
            }
            if linked.events < AT_ONCE as usize {
                return Ok(());
            }
        }
    }

    /// Tells the chain's end to the log, the file and the database, if it is a new one.
    ///
    /// # Errors
    /// When the database is away, or the file cannot be written.
    pub async fn tell(&mut self) -> anyhow::Result<()> {
        let (keys, now) = (Arc::clone(&self.keys), self.clock.now());
        let known = self.known.clone();
        let told = self
            .db
            .transaction(move |connection| telling::tell(connection, &keys, known, now))
            .await?;
        if let Some(lost) = &told.lost {
            tracing::error!(%lost, "the audit log's chain no longer has this end: run `enlist audit verify`");
        }
        let Some(end) = told.end.filter(|end| self.told.as_ref() != Some(end)) else {
            return Ok(());
        };
        tracing::info!(%end, "the audit log's end");
        if let Some(path) = &self.file {
            heads::add_to_file(path, &self.keys, &end, now)
                .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        }
        self.told = Some(end);
        Ok(())
    }
}

/// What one transaction did.
#[derive(Default)]
struct Linked {
    /// Events that were linked.
    events: usize,
    /// Of these, those that are not what their writers wrote.
    changed: usize,
    /// Where the chain ends now.
    end: Option<Head>,
    /// An end that was known, and that the chain no longer has.
    lost: Option<Head>,
    /// Whether events wait, and somebody else has the lock.
    is_kept_out: bool,
}

fn link_some(
    connection: &mut PgConnection,
    keys: &KeyRing,
    clock: &Clock,
    known: Option<Head>,
) -> Result<Linked, DbError> {
    let any: bool = diesel::select(diesel::dsl::exists(
        audit_unlinked::table.select(audit_unlinked::event_id),
    ))
    .get_result(connection)?;
    if !any {
        return Ok(Linked::default());
    }
    if !ends::lock(connection)? {
        return Ok(Linked {
            is_kept_out: true,
            ..Linked::default()
        });
    }
    let now = clock.now();
    let end = telling::end_of(connection, keys, known, now)?;
    let mut events: Vec<EventRow> = diesel::sql_query(format!(
        "SELECT {COLUMNS} FROM audit_unlinked u JOIN audit_events e ON e.id = u.event_id ORDER BY u.number, e.id LIMIT $1"
    ))
    .bind::<BigInt, _>(AT_ONCE)
    .load(connection)?;
    if is_upgrade(connection, &end)? {
        events.insert(0, seal_of_upgrade(connection, keys, clock)?);
    }
    let (mut head, lost) = (end.head, end.lost);
    let key = keys.signing();
    let mut changed = 0;
    let mut links = Vec::with_capacity(events.len());
    for event in &events {
        changed += usize::from(event.authenticity(keys) == Authenticity::Changed);
        let link = Link {
            before: &head.mac,
            position: head.position + 1,
            linked_at: now,
            signature: event.mac.as_deref(),
        };
        let mac = event.content().link(key, &link).to_vec();
        head = Head {
            position: link.position,
            mac,
        };
        links.push((
            audit_links::position.eq(head.position),
            audit_links::event_id.eq(event.id),
            audit_links::key_id.eq(key.id()),
            audit_links::mac.eq(head.mac.clone()),
            audit_links::linked_at.eq(now),
        ));
    }
    let made = diesel::insert_into(audit_links::table)
        .values(links)
        .execute(connection)?;
    if made != events.len() {
        return Err(DbError::Stored(
            "audit_links does not take all links".into(),
        ));
    }
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    diesel::delete(audit_unlinked::table.filter(audit_unlinked::event_id.eq_any(ids)))
        .execute(connection)?;
    Ok(Linked {
        events: events.len(),
        changed,
        end: Some(head),
        lost,
        is_kept_out: false,
    })
}

/// Whether an older version looked after the log until now. Then what it left needs a link of ours that says so: from
/// there on events are signed.
fn is_upgrade(connection: &mut PgConnection, end: &End) -> Result<bool, DbError> {
    if end.is_first || end.has_forgotten {
        return Ok(false);
    }
    let is_ours: bool = diesel::select(diesel::dsl::exists(
        audit_links::table
            .filter(audit_links::linked_at.is_not_null())
            .select(audit_links::position),
    ))
    .get_result(connection)?;
    Ok(!is_ours)
}

/// Writes the event of the upgrade down, which is linked at once.
fn seal_of_upgrade(
    connection: &mut PgConnection,
    keys: &KeyRing,
    clock: &Clock,
) -> Result<EventRow, DbError> {
    let accounts = evidence::unexplained_accounts(connection)?;
    let ids: Vec<Uuid> = accounts.iter().map(|account| account.id).collect();
    let event = Event::new(Action::AuditUpgraded, SubjectKind::AuditLog, None);
    let event = event.after(&serde_json::json!({"accounts": ids}));
    let id = clock.new_id();
    let new = New {
        id,
        at: clock.now(),
        actor: &Actor {
            kind: ActorKind::Service,
            id: None,
            name: None,
        },
        request_id: None,
        address: None,
        event: &event,
        key: Some(keys.signing()),
    };
    queries::insert(connection, &new)?;
    Ok(diesel::sql_query(format!(
        "SELECT {COLUMNS} FROM audit_events e WHERE e.id = $1"
    ))
    .bind::<SqlUuid, _>(id)
    .get_result(connection)?)
}
