//! The chain: each link is a hash over the link before and an event, and a MAC of that. Made by one instance at a time, outside of requests.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chrono::TimeDelta;
use diesel::{prelude::*, sql_types::BigInt};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    ends, forgetting,
    heads::{self, Head},
    of_log, older,
    rows::EventRow,
    signature::{Found, Link, mac_of_link},
    telling,
};
use crate::{
    clock::Clock,
    db::{Db, DbError},
    metrics::Metrics,
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
    /// Ends that were known here, and that the chain no longer has.
    lost: Vec<Head>,
    /// Whether a link of this version is known to be there: then no older one is to be taken over from.
    has_taken_over: bool,
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
        let noted = file.as_deref().map(heads::read_file);
        let noted = noted.transpose().unwrap_or_else(|error| {
            tracing::warn!(%error, "ENLIST_AUDIT_HEADS: the file cannot be read");
            None
        });
        let heads = noted.unwrap_or_default().heads.into_iter();
        let ours = heads.filter(|noted| noted.is_ours(&keys));
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
            lost: Vec::new(),
            has_taken_over: false,
            kept_out: 0,
        }
    }

    /// Links, tells and forgets, until it is told to stop; then links and tells once more.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>, metrics: Arc<Metrics>) {
        let mut rounds: u32 = 0;
        loop {
            let is_stopped = tokio::select! {
                () = tokio::time::sleep(LINK_EVERY) => false,
                _ = stopped.wait_for(|stopped| *stopped) => true,
            };
            if let Err(error) = self.link().await {
                tracing::warn!(%error, "the audit log's chain cannot be continued; trying again");
            }
            rounds = rounds.wrapping_add(1);
            if (rounds == 1 || rounds.is_multiple_of(TELL_EVERY) || is_stopped)
                && let Err(error) = metrics.audit_end_told(self.tell().await)
            {
                tracing::warn!(%error, "the audit log's end cannot be told; trying again");
            }
            if is_stopped {
                return;
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

    /// Keeps an end in mind that the chain no longer has.
    fn lose(&mut self, lost: Option<Head>) {
        let Some(lost) = lost.filter(|lost| !self.lost.contains(lost)) else {
            return;
        };
        tracing::error!(
            %lost,
            "the audit log's chain no longer has this end; a failover lost commits, or somebody changed the database: \
             run `enlist audit verify`"
        );
        self.lost.push(lost);
    }

    /// Links all that is committed and not linked yet, unless another instance is at it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn link(&mut self) -> Result<(), DbError> {
        loop {
            let (keys, clock) = (Arc::clone(&self.keys), self.clock.clone());
            let (known, has_taken_over) = (self.known.clone(), self.has_taken_over);
            let linked = self
                .db
                .transaction(move |connection| {
                    link_some(connection, &keys, &clock, known, has_taken_over)
                })
                .await?;
            self.has_taken_over |= linked.events > 0;
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
            self.lose(linked.lost);
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
        let (known, lost) = (self.known.clone(), self.lost.clone());
        let told = self
            .db
            .transaction(move |connection| telling::tell(connection, &keys, known, &lost, now))
            .await?;
        self.lose(told.lost);
        let Some(end) = told.end else {
            return Ok(());
        };
        self.known = Some(end.clone());
        if self.told.as_ref() == Some(&end) {
            return Ok(());
        }
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
    has_taken_over: bool,
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
    drop_linked(connection)?;
    let mut events: Vec<EventRow> = diesel::sql_query(include_str!("sql/to_link.sql"))
        .bind::<BigInt, _>(AT_ONCE)
        .load(connection)?;
    let of_log = of_log::events(connection, keys, clock, &end, has_taken_over)?;
    events.splice(0..0, of_log);
    let (mut head, lost) = (end.head, end.lost);
    // An older version's link has no hash; one that is lost has what was told of it.
    if let Some(hash) = older::hash_at(connection, keys, head.position)? {
        head.hash = hash;
    }
    // Somebody else may have put rows behind the end, which whoever verifies is told of.
    let mut position = free_behind(connection, head.position, events.len())?;
    let key = keys.signing();
    let mut changed = 0;
    let mut links = Vec::with_capacity(events.len());
    for event in &events {
        let found = event.found(keys);
        changed += usize::from(found == Found::Changed);
        position += 1;
        let link = Link {
            before: &head.hash,
            position,
            linked_at: now,
            signature: event.mac.as_deref(),
            found,
        };
        let hash = event.content().link(&link).to_vec();
        links.push((
            audit_links::position.eq(position),
            audit_links::event_id.eq(event.id),
            audit_links::key_id.eq(key.id()),
            audit_links::mac.eq(mac_of_link(key, &hash).to_vec()),
            audit_links::linked_at.eq(now),
            audit_links::found.eq(found as i16),
            audit_links::hash.eq(hash.clone()),
        ));
        head = Head { position, hash };
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
    if end.is_untold && !events.is_empty() {
        heads::keep(connection, keys, &head, now)?;
    }
    Ok(Linked {
        events: events.len(),
        changed,
        end: Some(head),
        lost,
        is_kept_out: false,
    })
}

/// Takes events out of the queue that have a link, or are not there: somebody put them in, and the chain must go on.
fn drop_linked(connection: &mut PgConnection) -> Result<(), DbError> {
    let dropped = diesel::sql_query(include_str!("sql/drop_linked.sql"))
        .bind::<BigInt, _>(AT_ONCE)
        .execute(connection)?;
    if dropped > 0 {
        tracing::error!(
            events = dropped,
            "events waited for a link that have one, or are gone: somebody changed the database; run `enlist audit verify`"
        );
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Free {
    #[diesel(sql_type = BigInt)]
    position: i64,
}

/// The first position from one on behind which so many are free.
fn free_behind(
    connection: &mut PgConnection,
    position: i64,
    events: usize,
) -> Result<i64, DbError> {
    let free: Free = diesel::sql_query(include_str!("sql/free_behind.sql"))
        .bind::<BigInt, _>(position)
        .bind::<BigInt, _>(i64::try_from(events).unwrap_or(AT_ONCE))
        .get_result(connection)?;
    Ok(free.position)
}
