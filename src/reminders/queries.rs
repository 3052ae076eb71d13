//! Reminders in the database. A step holds some invitations, looks at them, and writes what it found: three or four
//! statements, however many there are.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{
        Array, BigInt, Bool, Date, Int2, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid,
    },
};
use uuid::Uuid;

use super::due::{self, Past};
use crate::{
    clock::Clock,
    db::{CUSTOM_PLAN, DbError, WAKE_WORKERS},
    guessing::policy,
    model::invitation::{Method, State, pin_expires_at},
    schema::invitations,
    settings::reminders,
};

/// How many invitations one step looks at: it holds their rows for some ten milliseconds.
const AT_ONCE: i64 = 1_000;

/// What a step came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Reminders that are to be sent.
    pub queued: usize,
    /// Whether others may be waiting to be looked at.
    pub may_be_more: bool,
}

/// An invitation that is held, and what came of its messages.
#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    user_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    time_zone: Option<String>,
    /// The user is enabled and has an address.
    #[diesel(sql_type = Bool)]
    is_reachable: bool,
    #[diesel(sql_type = Text)]
    method: Method,
    #[diesel(sql_type = Int2)]
    pin_length: i16,
    #[diesel(sql_type = Int2)]
    pin_lifetime_days: i16,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pin_issued_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Int4)]
    pin_tries: i32,
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    sent_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    reminders: i64,
    #[diesel(sql_type = Nullable<Date>)]
    last_on: Option<NaiveDate>,
    /// The newest mail with the invitation itself was accepted, none is on its way, and none came back.
    #[diesel(sql_type = Bool)]
    has_arrived: bool,
}

/// A reminder that is due.
struct Due {
    id: Uuid,
    on: NaiveDate,
    /// The PIN's life is over: this one brings the next.
    renew: bool,
}

impl Candidate {
    fn past(&self) -> Past {
        Past {
            zone: due::zone(self.time_zone.as_deref()),
            sent_at: self.sent_at,
            reminders: self.reminders,
            last_on: self.last_on,
        }
    }

    /// Whether a reminder would be of any use.
    fn is_worth_it(&self, now: DateTime<Utc>) -> bool {
        // A PIN that was guessed at too often is over, and so would the next one be.
        let is_used_up =
            self.method.has_pin() && policy::is_used_up(self.pin_length, self.pin_tries);
        self.is_reachable && self.has_arrived && self.expires_at > now && !is_used_up
    }

    fn needs_new_pin(&self, now: DateTime<Utc>) -> bool {
        pin_expires_at(
            self.method,
            self.pin_issued_at,
            self.pin_lifetime_days,
            self.expires_at,
        )
        .is_some_and(|end| end <= now)
    }
}

/// Looks at the next invitations whose time to be looked at has come, queues the reminders that are due, and says when
/// to look again: at the next nine o'clock. Runs inside a transaction.
///
/// Nothing is looked at while no setting lets anybody be reminded. What somebody holds is left for the next time.
///
/// # Errors
/// When the database is away, or holds what this version does not understand.
pub fn step(connection: &mut PgConnection, clock: &Clock) -> Result<Step, DbError> {
    let now = clock.now();
    let rules = reminders::load(connection)?;
    if !rules.any_at(now) {
        return Ok(Step::default());
    }
    // However many users and messages there are, a step looks at a thousand of them.
    connection.batch_execute(&format!("{CUSTOM_PLAN}; SET LOCAL enable_seqscan = off"))?;
    let chosen = choose(connection, now)?;
    let candidates = look(connection, &chosen)?;
    let users: Vec<Uuid> = candidates
        .iter()
        .filter_map(|candidate| candidate.user_id)
        .collect();
    let custom = rules.custom_of(connection, &users)?;
    let mut next = Vec::with_capacity(candidates.len());
    let mut due = Vec::new();
    for candidate in &candidates {
        let past = candidate.past();
        next.push((candidate.id, due::next_nine(past.zone, now)));
        let own = candidate
            .user_id
            .and_then(|user| custom.get(&user).copied());
        let Some(rule) = own.or_else(|| rules.fallback()) else {
            continue;
        };
        let day = due::due(&past, &rule.reminder, rule.valid_from, now);
        if let Some(on) = day.filter(|_| candidate.is_worth_it(now)) {
            due.push(Due {
                id: candidate.id,
                on,
                renew: candidate.needs_new_pin(now),
            });
        }
    }
    write_down(connection, clock, &next, &due, now)?;
    if !due.is_empty() {
        connection.batch_execute(WAKE_WORKERS)?;
    }
    Ok(Step {
        queued: due.len(),
        may_be_more: i64::try_from(chosen.len()).is_ok_and(|count| count == AT_ONCE),
    })
}

/// Holds the invitations that are looked at: until the end of the transaction nobody else looks at them, nor resends,
/// ends or redeems them. Planned anew each time ([`CUSTOM_PLAN`]), so that the index of pending ones serves.
fn choose(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<Uuid>, DbError> {
    Ok(invitations::table
        .filter(invitations::state.eq(State::Pending))
        .filter(invitations::remind_at.le(now))
        .order(invitations::remind_at)
        .limit(AT_ONCE)
        .for_no_key_update()
        .skip_locked()
        .select(invitations::id)
        .load(connection)?)
}

/// A statement of its own, so that it sees what was committed before the invitations were held.
fn look(connection: &mut PgConnection, chosen: &[Uuid]) -> Result<Vec<Candidate>, DbError> {
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    Ok(diesel::sql_query(include_str!("sql/look.sql"))
        .bind::<Array<SqlUuid>, _>(chosen)
        .load(connection)?)
}

/// Writes when to look again, and queues what is due. The index decides that a day has one reminder; where there is
/// one already, its PIN stays as well. Reminders are no part of the batch that was once sent.
fn write_down(
    connection: &mut PgConnection,
    clock: &Clock,
    next: &[(Uuid, DateTime<Utc>)],
    due: &[Due],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if next.is_empty() {
        return Ok(());
    }
    let (ids, next): (Vec<Uuid>, Vec<DateTime<Utc>>) = next.iter().copied().unzip();
    diesel::sql_query(include_str!("sql/write_down.sql"))
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Timestamptz>, _>(next)
        .bind::<Array<SqlUuid>, _>(due.iter().map(|due| due.id).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(due.iter().map(|_| clock.new_id()).collect::<Vec<_>>())
        .bind::<Array<Date>, _>(due.iter().map(|due| due.on).collect::<Vec<_>>())
        .bind::<Array<Bool>, _>(due.iter().map(|due| due.renew).collect::<Vec<_>>())
        .bind::<Timestamptz, _>(now)
        .execute(connection)?;
    Ok(())
}
