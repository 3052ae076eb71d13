//! Twenty-five people to try things on: several languages, zones and groups, one without an e-mail
//! address, one disabled.

use chrono_tz::Tz;
use diesel::prelude::*;
use uuid::Uuid;

use crate::{
    clock::Clock,
    db::DbError,
    schema::{group_members, groups, users},
    users::{profile::Profile, queries},
};

const GROUPS: [&str; 4] = ["Engineering", "Sales", "Field service", "Office"];

/// First name, last name, language, zone, group.
const PEOPLE: [(&str, &str, &str, Tz, usize); 25] = [
    ("Ada", "Lovelace", "en-GB", Tz::Europe__London, 0),
    ("Grace", "Hopper", "en-US", Tz::America__New_York, 0),
    ("Alan", "Turing", "en-GB", Tz::Europe__London, 0),
    ("Katherine", "Johnson", "en-US", Tz::America__New_York, 0),
    ("Émilie", "du Châtelet", "fr", Tz::Europe__Paris, 0),
    ("Sophie", "Germain", "fr", Tz::Europe__Paris, 0),
    ("Aimé", "Césaire", "fr-CA", Tz::America__Montreal, 1),
    ("Zoë", "Kravitz", "en-US", Tz::America__Los_Angeles, 1),
    ("Jürgen", "Groß", "de", Tz::Europe__Berlin, 1),
    ("Käthe", "Kollwitz", "de-CH", Tz::Europe__Zurich, 1),
    ("María", "Zambrano", "es", Tz::Europe__Madrid, 1),
    ("Gabriela", "Mistral", "es-CL", Tz::America__Santiago, 1),
    ("Rita", "Levi-Montalcini", "it", Tz::Europe__Rome, 2),
    ("Elena", "Cornaro", "it", Tz::Europe__Rome, 2),
    ("Amália", "Rodrigues", "pt", Tz::Europe__Lisbon, 2),
    ("Clarice", "Lispector", "pt-BR", Tz::America__Sao_Paulo, 2),
    ("Aletta", "Jacobs", "nl", Tz::Europe__Amsterdam, 2),
    ("Joke", "Smit", "nl-BE", Tz::Europe__Brussels, 2),
    ("紫", "式部", "ja", Tz::Asia__Tokyo, 3),
    ("一葉", "樋口", "ja", Tz::Asia__Tokyo, 3),
    ("Maryam", "Mirzakhani", "en-US", Tz::America__Los_Angeles, 3),
    ("Wangari", "Maathai", "en", Tz::Africa__Nairobi, 3),
    ("Chien-Shiung", "Wu", "en-US", Tz::America__New_York, 3),
    ("Front", "Desk", "en", Tz::Europe__London, 3),
    ("Former", "Colleague", "en", Tz::Europe__London, 3),
];

/// Who has no e-mail address: a shared device.
const WITHOUT_EMAIL: usize = 23;
/// Who is disabled.
const DISABLED: usize = 24;

/// Adds the people, unless there is anybody already. Gives how many were added.
///
/// # Errors
/// When the database is away.
pub fn add(connection: &mut PgConnection, clock: &Clock) -> Result<usize, DbError> {
    let anybody: Option<Uuid> = users::table
        .select(users::id)
        .first(connection)
        .optional()?;
    if anybody.is_some() {
        return Ok(0);
    }
    let now = clock.now();
    let group_ids = GROUPS.map(|_| clock.new_id());
    let rows: Vec<_> = GROUPS
        .iter()
        .zip(group_ids)
        .map(|(name, id)| {
            (
                groups::id.eq(id),
                groups::name.eq(*name),
                groups::created_at.eq(now),
                groups::updated_at.eq(now),
            )
        })
        .collect();
    diesel::insert_into(groups::table)
        .values(rows)
        .execute(connection)?;
    for (index, (first, last, locale, zone, group)) in PEOPLE.into_iter().enumerate() {
        let id = clock.new_id();
        let username = username(first, last, index);
        let profile = Profile {
            email: (index != WITHOUT_EMAIL).then(|| format!("{username}@example.com")),
            username,
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            display_name: if locale == "ja" {
                format!("{last} {first}")
            } else {
                format!("{first} {last}")
            },
            locale: Some(locale.to_owned()),
            time_zone: Some(zone.name().to_owned()),
            managed_apple_account: None,
            enabled: index != DISABLED,
            attributes: serde_json::Map::new(),
        };
        queries::insert(connection, id, &profile, None, now)?;
        diesel::insert_into(group_members::table)
            .values((
                group_members::group_id.eq(group_ids[group]),
                group_members::user_id.eq(id),
            ))
            .execute(connection)?;
    }
    Ok(PEOPLE.len())
}

/// `first.last` in plain letters; a number where a name has none.
fn username(first: &str, last: &str, index: usize) -> String {
    let plain = |name: &str| -> String {
        use unicode_normalization::UnicodeNormalization;
        name.nfd()
            .filter(char::is_ascii_alphabetic)
            .collect::<String>()
            .to_ascii_lowercase()
    };
    match (plain(first), plain(last)) {
        (first, last) if first.is_empty() || last.is_empty() => format!("user{index}"),
        (first, last) => format!("{first}.{last}"),
    }
}
