//! Who has the names of a file already.

use std::collections::HashSet;

use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Nullable, Text},
};
use uuid::Uuid;

use crate::{db::DbError, schema::users};

type SqlUuid = diesel::sql_types::Uuid;

/// Who has a name, and as what.
#[derive(Debug, Clone, Copy)]
pub struct Holder {
    pub id: Uuid,
    pub is_username: bool,
    pub is_email: bool,
}

/// Who has the username and the address of a row.
#[derive(Debug, Default, Clone, Copy)]
pub struct Holders {
    pub of_username: Option<Holder>,
    pub of_email: Option<Holder>,
}

impl Holders {
    /// The user that the row is about: whose username it has, else whose address.
    pub fn user(&self) -> Option<Uuid> {
        let by_username = self.of_username.filter(|holder| holder.is_username);
        let by_email = self.of_email.filter(|holder| holder.is_email);
        by_username.or(by_email).map(|holder| holder.id)
    }
}

/// The holders of each pair of username and address, in their order.
///
/// # Errors
/// When the database is away.
pub fn of(
    connection: &mut PgConnection,
    usernames: &[&str],
    emails: &[Option<&str>],
) -> Result<Vec<Holders>, DbError> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        place: i64,
        #[diesel(sql_type = Bool)]
        of_username: bool,
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Bool)]
        is_username: bool,
        #[diesel(sql_type = Bool)]
        is_email: bool,
    }
    let found: Vec<Found> = diesel::sql_query(include_str!("sql/holders.sql"))
        .bind::<Array<Text>, _>(usernames)
        .bind::<Array<Nullable<Text>>, _>(emails)
        .load(connection)?;
    let mut holders = vec![Holders::default(); usernames.len()];
    for row in found {
        if let Some(place) = index(row.place).and_then(|index| holders.get_mut(index)) {
            let holder = Holder {
                id: row.id,
                is_username: row.is_username,
                is_email: row.is_email,
            };
            match row.of_username {
                true => place.of_username = Some(holder),
                false => place.of_email = Some(holder),
            }
        }
    }
    Ok(holders)
}

/// Ordinals begin with 1.
fn index(ordinal: i64) -> Option<usize> {
    usize::try_from(ordinal).ok()?.checked_sub(1)
}

/// Which of these users another user has a name of.
///
/// # Errors
/// When the database is away.
pub fn clashing(connection: &mut PgConnection, ids: &[Uuid]) -> Result<HashSet<Uuid>, DbError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let clashing: Vec<Uuid> = users::table
        .filter(users::name_clash)
        .filter(users::id.eq_any(ids))
        .select(users::id)
        .load(connection)?;
    Ok(clashing.into_iter().collect())
}
