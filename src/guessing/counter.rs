//! How often something was guessed at: one row of `guesses` for each name, whether somebody has it or not. So what is
//! answered, and when, tells nothing of who is there.

use chrono::{DateTime, Duration, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Bool, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::policy::{self, EVERYWHERE, PAUSES, ROUND};
use crate::{
    db::{DbError, prepared::Prepared},
    model::identity::name_key,
    schema::guesses,
    secrets::keys::{KeyRing, Purpose},
};

/// What is guessed at: each is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// The PIN of whoever has a name.
    Pin,
    /// The password of whoever has a name.
    UserPassword,
    /// The password of the operator who has a name, from everywhere together,
    OperatorPassword,
    /// from one network,
    FromNetwork,
    /// and from one where any operator is known.
    FromKnown,
    /// An operator's password, in a session of that operator.
    OwnPassword,
}

impl Secret {
    /// Part of the MAC of a name: it must stay as it is, or counts of a running service are forgotten.
    const fn label(self) -> u8 {
        match self {
            Self::Pin => b'p',
            Self::UserPassword => b'w',
            Self::OperatorPassword => b'o',
            Self::FromNetwork => b'n',
            Self::FromKnown => b'k',
            Self::OwnPassword => b'c',
        }
    }

    /// After how many tries there is a pause.
    const fn round(self) -> i32 {
        match self {
            Self::OperatorPassword => EVERYWHERE,
            _ => ROUND,
        }
    }
}

/// Where tries are counted: a MAC, since what people type as a name by mistake may be a secret.
#[derive(Debug, Clone)]
pub struct Subject {
    id: Uuid,
    /// The same under the older keys: a rotation forgets no count.
    before: Vec<Uuid>,
    /// The name's own row, where this one is of a part of the tries at it.
    name: Option<Uuid>,
    round: i32,
}

impl Subject {
    /// All tries at a name. Upper and lower case are one; the rest was made one when the name was read.
    pub fn of_name(keys: &KeyRing, secret: Secret, name: &str) -> Self {
        Self::new(keys, secret, &[name_key(name).as_bytes()])
    }

    /// The tries at a name that come from one network.
    pub fn of_part(keys: &KeyRing, secret: Secret, network: &[u8; 16], name: &str) -> Self {
        Self {
            name: Some(Self::of_name(keys, Secret::OperatorPassword, name).id),
            ..Self::new(keys, secret, &[network, name_key(name).as_bytes()])
        }
    }

    fn new(keys: &KeyRing, secret: Secret, parts: &[&[u8]]) -> Self {
        let label = [secret.label()];
        let parts: Vec<&[u8]> = std::iter::once(label.as_slice())
            .chain(parts.iter().copied())
            .collect();
        let mut ids = keys.iter().map(|key| key.short_mac(Purpose::Guess, &parts));
        Self {
            id: ids.next().unwrap_or_default(),
            before: ids.collect(),
            name: None,
            round: secret.round(),
        }
    }
}

/// What the count says of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Try<T> {
    /// It is counted, and may be looked at.
    Counted(T),
    /// There were too many: nothing is looked at for so many seconds.
    Paused(u32),
}

/// The end of the pause that a try begins, unless it turns out to be right.
pub type Begins = Option<DateTime<Utc>>;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Bool)]
    looked_at: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    locked_until: Option<DateTime<Utc>>,
}

/// Counts one try, at each of these: in a pause of one of them, at none. Whoever else tries at the same waits until the
/// end of the transaction, and sees it counted.
///
/// # Errors
/// When the database is away.
pub fn count(
    connection: &mut PgConnection,
    subjects: &[Subject],
    now: DateTime<Utc>,
) -> Result<Try<Begins>, DbError> {
    let mut begins = None;
    for (index, subject) in subjects.iter().enumerate() {
        let row = count_at(connection, subject, now)?;
        if !row.looked_at {
            take_back(connection, &subjects[..index])?;
            return Ok(Try::Paused(policy::retry_after(row.locked_until, now)));
        }
        begins = begins.max(row.locked_until.filter(|end| *end > now));
    }
    Ok(Try::Counted(begins))
}

fn count_at(
    connection: &mut PgConnection,
    subject: &Subject,
    now: DateTime<Utc>,
) -> Result<Row, DbError> {
    if !subject.before.is_empty() {
        carry_over(connection, subject)?;
    }
    Ok(Prepared::new(
        include_str!("sql/count.sql"),
        (
            subject.id.into_sql::<SqlUuid>(),
            now.into_sql::<Timestamptz>(),
            subject.name.into_sql::<Nullable<SqlUuid>>(),
            subject.round.into_sql::<Int4>(),
            PAUSES.as_slice().into_sql::<Array<Int4>>(),
        ),
    )
    .get_result(connection)?)
}

/// Goes on from what was counted under an older key.
fn carry_over(connection: &mut PgConnection, subject: &Subject) -> Result<(), DbError> {
    guesses::table
        .filter(guesses::subject.eq_any(&subject.before))
        .order(guesses::tries.desc())
        .limit(1)
        .select((
            subject.id.into_sql::<SqlUuid>(),
            guesses::tries,
            guesses::locked_until,
            guesses::looked_at,
            guesses::updated_at,
            guesses::counted_before,
            subject.name.into_sql::<Nullable<SqlUuid>>(),
        ))
        .insert_into(guesses::table)
        .into_columns((
            guesses::subject,
            guesses::tries,
            guesses::locked_until,
            guesses::looked_at,
            guesses::updated_at,
            guesses::counted_before,
            guesses::name,
        ))
        .on_conflict_do_nothing()
        .execute(connection)?;
    Ok(())
}

/// The try was right: all is as if it had not been. The count stays, or whoever guesses at the name would see it start
/// anew, and know that somebody has the name.
///
/// # Errors
/// When the database is away.
pub fn take_back(connection: &mut PgConnection, subjects: &[Subject]) -> Result<(), DbError> {
    // One by one, in the order in which they are counted: so that nobody waits for each other.
    for subject in subjects {
        Prepared::new(
            include_str!("sql/take_back.sql"),
            (subject.id.into_sql::<SqlUuid>(),),
        )
        .execute(connection)?;
    }
    Ok(())
}

/// Starts counts anew, and those of their parts: for one person whom somebody looks after.
///
/// # Errors
/// When the database is away.
pub fn forget(connection: &mut PgConnection, subjects: &[Subject]) -> Result<(), DbError> {
    for subject in subjects {
        let ids: Vec<Uuid> = std::iter::once(subject.id)
            .chain(subject.before.iter().copied())
            .collect();
        // Parts first, as they are counted.
        diesel::delete(guesses::table.filter(guesses::name.eq_any(&ids))).execute(connection)?;
        diesel::delete(guesses::table.filter(guesses::subject.eq_any(&ids))).execute(connection)?;
    }
    Ok(())
}

/// The same for all names of a user.
///
/// # Errors
/// When the database is away.
pub fn forget_user(
    connection: &mut PgConnection,
    keys: &KeyRing,
    secret: Secret,
    user: Uuid,
) -> Result<(), DbError> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        key: String,
    }
    let names: Vec<Name> = Prepared::new(
        include_str!("sql/names_of.sql"),
        (user.into_sql::<SqlUuid>(),),
    )
    .load(connection)?;
    let names = names.iter();
    let subjects: Vec<Subject> = names
        .map(|name| Subject::of_name(keys, secret, &name.key))
        .collect();
    forget(connection, &subjects)
}

/// How long a count is kept that nobody adds to.
const COUNTED_FOR: Duration = Duration::hours(24);

/// Forgets counts that nobody has added to for a day: known names and unknown ones alike. Gives how many.
///
/// # Errors
/// When the database is away.
pub fn forget_old(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, DbError> {
    let before = now - COUNTED_FOR;
    Ok(
        diesel::delete(guesses::table.filter(guesses::updated_at.le(before)))
            .execute(connection)?,
    )
}
