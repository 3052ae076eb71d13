//! The keys of names that older versions stored as they were given. A new name is normal when it is stored, and its key is
//! the name in lower case; of `one@xn--bcher-kva.example` the key is `one@bücher.example`, in a column beside.

use std::{collections::HashMap, time::Duration};

use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::{
    db::{Db, DbError},
    model::identity::Username,
    schema::users,
};

/// An older instance may still be writing: so again and again.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Users that one statement looks at or changes.
const AT_ONCE: i64 = 1_000;

/// Gives names from before their keys, until it is dropped.
pub async fn run(db: Db) {
    let mut told = 0;
    loop {
        match settle(&db).await {
            Ok(0) => told = 0,
            Ok(clashing) if clashing == told => {}
            Ok(clashing) => {
                tracing::warn!(
                    clashing,
                    "some users have a name that an older user has, and are not found by it; GET /users?name_clash=true lists them"
                );
                told = clashing;
            }
            Err(error) => {
                tracing::warn!(%error, "the keys of names from before cannot be filled in")
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Fills in the keys that are missing. Gives how many users there are whose name an older one has.
///
/// # Errors
/// When the database is away.
pub async fn settle(db: &Db) -> Result<i64, DbError> {
    let mut after = Uuid::nil();
    loop {
        let found = db
            .read(move |connection| suspects(connection, after))
            .await?;
        let Some(last) = found.last().map(|found| found.id) else {
            break;
        };
        after = last;
        let odd: Vec<Odd> = found.into_iter().filter_map(Suspect::odd).collect();
        if !odd.is_empty() {
            db.transaction(move |connection| give_keys(connection, odd))
                .await?;
        }
    }
    clashing(db).await
}

/// How many users there are whose name an older one has.
///
/// # Errors
/// When the database is away.
pub async fn clashing(db: &Db) -> Result<i64, DbError> {
    db.read(|connection| {
        let clashing = users::table.filter(users::name_clash).count();
        Ok(clashing.get_result(connection)?)
    })
    .await
}

#[derive(QueryableByName)]
struct Suspect {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
}

/// Whose names may not be normal, by id: an ASCII name is, but for domains in A-labels.
fn suspects(connection: &mut PgConnection, after: Uuid) -> Result<Vec<Suspect>, DbError> {
    Ok(diesel::sql_query(include_str!("sql/suspects.sql"))
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(AT_ONCE)
        .load(connection)?)
}

/// A user with a name that is not normal, and the normal names.
struct Odd {
    found: Suspect,
    username: String,
    email: Option<String>,
}

impl Suspect {
    fn odd(self) -> Option<Odd> {
        let normal = |name: &str| {
            // Names that nobody could have today stay as they are.
            Username::parse(name).map_or_else(|_| name.to_owned(), |name| name.as_str().to_owned())
        };
        let (username, email) = (normal(&self.username), self.email.as_deref().map(normal));
        if username == self.username && email == self.email {
            return None;
        }
        Some(Odd {
            found: self,
            username,
            email,
        })
    }
}

/// Stores the keys of those whose names are still the same. An older user takes a name from a younger one.
fn give_keys(connection: &mut PgConnection, mut odd: Vec<Odd>) -> Result<(), DbError> {
    let held: HashMap<Uuid, (String, Option<String>)> = users::table
        .filter(users::id.eq_any(odd.iter().map(|odd| odd.found.id)))
        .order(users::id)
        .select((users::id, (users::username, users::email)))
        .for_no_key_update()
        .load(connection)?
        .into_iter()
        .collect();
    odd.retain(|odd| {
        let names = held.get(&odd.found.id);
        names.is_some_and(|(name, email)| *name == odd.found.username && *email == odd.found.email)
    });
    let ids: Vec<Uuid> = odd.iter().map(|odd| odd.found.id).collect();
    let usernames: Vec<&str> = odd.iter().map(|odd| odd.username.as_str()).collect();
    let emails: Vec<Option<&str>> = odd.iter().map(|odd| odd.email.as_deref()).collect();
    for statement in [
        include_str!("sql/take_names.sql"),
        include_str!("sql/give_keys.sql"),
    ] {
        diesel::sql_query(statement)
            .bind::<Array<SqlUuid>, _>(&ids)
            .bind::<Array<Text>, _>(&usernames)
            .bind::<Array<Nullable<Text>>, _>(&emails)
            .execute(connection)?;
    }
    Ok(())
}
