//! The chain: each link is a MAC over the link before and an event. Made by one instance at a time, outside of
//! requests; checked by `enlist audit verify`.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{BigInt, Bool, Bytea, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{
    ends::{self, Unsealed},
    forgetting,
    queries::details_hash,
};
use crate::{
    clock::Clock,
    db::{Db, DbError},
    schema::{audit_links, audit_unlinked},
    secrets::keys::{Key, KeyRing, Purpose},
};

/// How often what was committed is linked.
const LINK_EVERY: Duration = Duration::from_secs(1);
/// What is old is forgotten every so many times.
const FORGET_EVERY: u32 = 600;
/// Events that one transaction links, or that are checked at a time.
const AT_ONCE: i64 = 1_000;
#[derive(QueryableByName)]
struct EventRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    actor_kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    actor_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    actor_name: Option<String>,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Text)]
    subject_kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    subject_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    request_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    address: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    person_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Bytea>)]
    details_hash: Option<Vec<u8>>,
}

const COLUMNS: &str = "e.id, e.at, e.actor_kind, e.actor_id, e.actor_name, e.action, e.subject_kind, e.subject_id, \
                       e.request_id, e.address, e.person_id, e.details_hash";

impl EventRow {
    /// The link of this event behind another one. JSON keeps the parts apart.
    fn link(&self, key: &Key, before: &[u8], position: i64) -> Vec<u8> {
        let event = serde_json::json!([
            self.id,
            self.at.timestamp_micros(),
            self.actor_kind,
            self.actor_id,
            self.actor_name,
            self.action,
            self.subject_kind,
            self.subject_id,
            self.request_id,
            self.address,
            self.person_id,
            self.details_hash,
        ]);
        let length = (before.len() as u64).to_be_bytes();
        key.mac(
            Purpose::Audit,
            &[
                &length,
                before,
                &position.to_be_bytes(),
                event.to_string().as_bytes(),
            ],
        )
        .to_vec()
    }
}

/// Links what was committed, and forgets what is older than `keep`, until it is dropped.
pub async fn run(db: Db, keys: Arc<KeyRing>, clock: Clock, keep: Option<TimeDelta>) {
    let mut rounds: u32 = 0;
    loop {
        tokio::time::sleep(LINK_EVERY).await;
        if let Err(error) = link(&db, &keys).await {
            tracing::warn!(%error, "the audit log's chain cannot be continued; trying again");
        }
        rounds = rounds.wrapping_add(1);
        if let Some(keep) = keep
            && rounds.is_multiple_of(FORGET_EVERY)
            && let Err(error) = forgetting::forget(&db, &keys, clock.now() - keep).await
        {
            tracing::warn!(%error, "old audit events cannot be forgotten");
        }
    }
}

/// Links all that is committed and not linked yet, unless another instance is at it.
///
/// # Errors
/// When the database is away.
pub async fn link(db: &Db, keys: &Arc<KeyRing>) -> Result<(), DbError> {
    loop {
        let keys = Arc::clone(keys);
        let linked = db
            .transaction(move |connection| link_some(connection, &keys))
            .await?;
        if linked < AT_ONCE as usize {
            return Ok(());
        }
    }
}

fn link_some(connection: &mut PgConnection, keys: &KeyRing) -> Result<usize, DbError> {
    let any: bool = diesel::select(diesel::dsl::exists(
        audit_unlinked::table.select(audit_unlinked::event_id),
    ))
    .get_result(connection)?;
    if !any {
        return Ok(0);
    }
    if !ends::lock(connection)? {
        return Ok(0);
    }
    let events: Vec<EventRow> = diesel::sql_query(format!(
        "SELECT {COLUMNS} FROM audit_unlinked u JOIN audit_events e ON e.id = u.event_id ORDER BY e.id LIMIT $1"
    ))
    .bind::<BigInt, _>(AT_ONCE)
    .load(connection)?;
    let last: Option<(i64, Vec<u8>)> = audit_links::table
        .order(audit_links::position.desc())
        .select((audit_links::position, audit_links::mac))
        .first(connection)
        .optional()?;
    let (mut position, mut mac) = match last {
        Some(last) => last,
        // All were forgotten. One that is not ours is told of by whoever verifies, and goes on being one.
        None => match ends::beginning(connection, keys)? {
            Ok(beginning) => (beginning.position, beginning.mac),
            Err(unsealed) => (unsealed.0, Vec::new()),
        },
    };
    let key = keys.signing();
    let mut links = Vec::with_capacity(events.len());
    for event in &events {
        position += 1;
        mac = event.link(key, &mac, position);
        links.push((
            audit_links::position.eq(position),
            audit_links::event_id.eq(event.id),
            audit_links::key_id.eq(key.id()),
            audit_links::mac.eq(mac.clone()),
        ));
    }
    diesel::insert_into(audit_links::table)
        .values(links)
        .execute(connection)?;
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    diesel::delete(audit_unlinked::table.filter(audit_unlinked::event_id.eq_any(ids)))
        .execute(connection)?;
    Ok(events.len())
}

/// What a check of the whole log came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    /// Events in the chain.
    pub linked: i64,
    /// Events that were in it, and were forgotten since they were old.
    pub forgotten: i64,
    /// Events that are not in it yet: the newest ones, for a second or two.
    pub unlinked: i64,
    /// The last link, to be noted elsewhere: whoever cuts off the end of the log cuts it off.
    pub head: Option<String>,
    /// What is wrong, in words.
    pub faults: Vec<String>,
}

/// An end of the chain that was noted earlier, as [`Verified::head`] gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    position: i64,
    mac: String,
}

impl std::str::FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once(':')
            .and_then(|(position, mac)| {
                Some(Self {
                    position: position.parse().ok()?,
                    mac: mac.to_ascii_lowercase(),
                })
            })
            .ok_or_else(|| "is the number of a link, a colon, and its MAC in hexadecimal".into())
    }
}

impl Head {
    /// Whether the chain still has it.
    ///
    /// # Errors
    /// When the database is away.
    pub fn is_there(&self, connection: &mut PgConnection) -> Result<bool, DbError> {
        let mac: Option<Vec<u8>> = audit_links::table
            .find(self.position)
            .select(audit_links::mac)
            .first(connection)
            .optional()?;
        Ok(mac.is_some_and(|mac| hex(&mac) == self.mac))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(QueryableByName)]
struct LinkRow {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
    #[diesel(sql_type = Text)]
    key_id: String,
    #[diesel(sql_type = Bytea)]
    mac: Vec<u8>,
    #[diesel(sql_type = Nullable<Bytea>)]
    salt: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    before: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    after: Option<String>,
    /// The person whom it was about is gone, and the details with them.
    #[diesel(sql_type = Bool)]
    is_erased: bool,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Checks every link, and that the details are those that were written.
///
/// # Errors
/// When the database is away.
pub fn verify(connection: &mut PgConnection, keys: &KeyRing) -> Result<Verified, DbError> {
    // One picture of the log, while others go on writing.
    connection.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let verified = check(connection, keys);
    connection.batch_execute("COMMIT")?;
    verified
}

/// The same within the caller's own transaction.
///
/// # Errors
/// When the database is away.
pub fn check(connection: &mut PgConnection, keys: &KeyRing) -> Result<Verified, DbError> {
    /// More faults than anybody reads.
    const MOST_FAULTS: usize = 100;
    let mut faults = Vec::new();
    let (mut position, mut mac) = match ends::beginning(connection, keys)? {
        Ok(beginning) => (beginning.position, beginning.mac),
        Err(Unsealed(position)) => {
            faults.push(format!(
                "the log begins behind link {position}, and the seal that says so is not ours"
            ));
            (position, Vec::new())
        }
    };
    let forgotten = position;
    loop {
        let links: Vec<LinkRow> = diesel::sql_query(
            "SELECT l.position, l.event_id, l.key_id, l.mac, d.salt, d.before, d.after,
                e.person_id IS NOT NULL AND u.id IS NULL AS is_erased
             FROM audit_links l LEFT JOIN audit_events e ON e.id = l.event_id
             LEFT JOIN audit_details d ON d.event_id = l.event_id LEFT JOIN users u ON u.id = e.person_id
             WHERE l.position > $1 ORDER BY l.position LIMIT $2",
        )
        .bind::<BigInt, _>(position)
        .bind::<BigInt, _>(AT_ONCE)
        .load(connection)?;
        let events: Vec<EventRow> = diesel::sql_query(format!(
            "SELECT {COLUMNS} FROM audit_events e JOIN audit_links l ON l.event_id = e.id
             WHERE l.position > $1 AND l.position <= $1 + $2 ORDER BY l.position"
        ))
        .bind::<BigInt, _>(position)
        .bind::<BigInt, _>(AT_ONCE)
        .load(connection)?;
        let is_last = links.len() < AT_ONCE as usize;
        for link in links {
            let event = events.iter().find(|event| event.id == link.event_id);
            if link.position != position + 1 {
                faults.push(format!(
                    "links {} to {} are missing",
                    position + 1,
                    link.position - 1
                ));
            }
            faults.extend(fault(&link, event, keys, &mac));
            position = link.position;
            mac = link.mac;
            if faults.len() >= MOST_FAULTS {
                break;
            }
        }
        if is_last || faults.len() >= MOST_FAULTS {
            break;
        }
    }
    let unlinked: Number = diesel::sql_query(
        "SELECT count(*) AS number FROM audit_events e WHERE NOT EXISTS (SELECT FROM audit_links l WHERE l.event_id = e.id)",
    )
    .get_result(connection)?;
    let head = (position > forgotten).then(|| format!("{position}:{}", hex(&mac)));
    Ok(Verified {
        linked: position - forgotten,
        forgotten,
        unlinked: unlinked.number,
        head,
        faults,
    })
}

fn fault(
    link: &LinkRow,
    event: Option<&EventRow>,
    keys: &KeyRing,
    before: &[u8],
) -> Option<String> {
    let place = format!("link {}, event {}", link.position, link.event_id);
    let Some(event) = event else {
        return Some(format!("{place}: the event is missing"));
    };
    let Some(key) = keys.get(&link.key_id) else {
        return Some(format!(
            "{place}: made with the key `{}`, which ENLIST_SECRET_KEYS does not hold",
            link.key_id
        ));
    };
    let expected = event.link(key, before, link.position);
    if !bool::from(expected.ct_eq(&link.mac)) {
        return Some(format!(
            "{place}: the event, or the link before, is not the one that was written"
        ));
    }
    match (&event.details_hash, &link.salt) {
        (None, None) => None,
        (Some(_), None) if link.is_erased => None,
        (Some(_), None) => Some(format!("{place}: the details are missing")),
        (Some(hash), Some(salt))
            if details_hash(salt, link.before.as_deref(), link.after.as_deref())[..]
                == hash[..] =>
        {
            None
        }
        (_, Some(_)) => Some(format!(
            "{place}: the details are not those that were written"
        )),
    }
}
