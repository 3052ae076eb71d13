//! Users as records: what an import reads back as it was. Pure.

use chrono::{DateTime, SecondsFormat, Utc};

use super::{cells, columns, example::EXAMPLE};
use crate::{
    http::csv::{Separator, rows},
    users::domain::User,
};

/// In front of a file, it tells Excel that the text is UTF-8.
pub const MARK: &str = "\u{FEFF}";

/// A file to fill in: the header row, and a line that shows how.
pub fn template(separator: Separator) -> Vec<u8> {
    let (names, cells): (Vec<_>, Vec<_>) = EXAMPLE.into_iter().unzip();
    rows(separator, |write| {
        for row in [names, cells] {
            write(row.into_iter().map(str::to_owned).collect());
        }
    })
}

/// The header of an export, with the columns of these attributes.
pub fn header(attributes: &[String]) -> Vec<String> {
    let own = columns::PROFILE.iter().chain(&columns::STATUS);
    own.map(|name| (*name).to_owned())
        .chain(attributes.iter().map(|name| columns::of_attribute(name)))
        .collect()
}

/// A user's record below it.
pub fn cells_of(user: &User, attributes: &[String]) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let groups = user.groups.iter().map(|group| group.name.as_str());
    let mut row = vec![
        user.username.clone(),
        text(&user.email),
        user.first_name.clone(),
        user.last_name.clone(),
        user.display_name.clone(),
        text(&user.locale),
        text(&user.time_zone),
        text(&user.managed_apple_account),
        user.enabled.to_string(),
        cells::of_groups(groups),
        user.id.to_string(),
        user.source.to_string(),
        user.has_password.to_string(),
        user.invite_status.to_string(),
        user.last_invited_at.map(time).unwrap_or_default(),
        user.device_count.to_string(),
        time(user.created_at),
        time(user.updated_at),
    ];
    row.extend(attributes.iter().map(|name| {
        user.attributes
            .get(name)
            .map(cells::of_attribute)
            .unwrap_or_default()
    }));
    row
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Map, Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::{
        groups::domain::GroupName,
        model::{
            identity::{
                AppleAccount, DisplayName, Email, GroupRef, LocaleTag, PersonName, TimeZone,
                Username,
            },
            wire::{self, Flaw},
        },
        users::{
            attributes::{Attributes, attribute_name},
            csv::{Line, Row, mapping::ColumnMap, records::Records, rows::UserRecords},
            domain::CreateUser,
        },
    };

    fn opened(file: &[u8]) -> UserRecords<&[u8]> {
        let records = Records::text(file).unwrap();
        UserRecords::open(records, &ColumnMap::default())
            .unwrap()
            .unwrap()
    }

    fn imported(file: &[u8]) -> Vec<Row> {
        let mut records = opened(file);
        let lines = std::iter::from_fn(|| records.advance().unwrap());
        lines
            .map(|line| match line {
                Line::User(row) => *row,
                Line::Faulty(faults) => panic!("{faults:?}"),
            })
            .collect()
    }

    fn passed(file: &[u8]) -> usize {
        let mut records = opened(file);
        std::iter::from_fn(|| records.pass().unwrap().then_some(())).count()
    }

    #[test]
    fn the_example_is_nobody_in_whichever_program_it_was() {
        let [template, semicolons] = [Separator::Comma, Separator::Semicolon]
            .map(|separator| String::from_utf8(template(separator)).unwrap());
        let semicolons = semicolons.replace("true", "WAHR");
        for file in [
            template.clone(),
            format!("{MARK}{template}"),
            semicolons,
            "email,floor\nEXAMPLE.person@example.com,4\n".to_owned(),
        ] {
            assert!(imported(file.as_bytes()).is_empty(), "{file}");
            assert_eq!(passed(file.as_bytes()), 0, "{file}");
            let more = format!("{}\n{}", file.trim_end(), file.lines().nth(1).unwrap());
            let more = more.replacen("example.person@", "somebody@", 1);
            let more = more.replacen("EXAMPLE.person@", "somebody@", 1);
            assert_eq!(passed(more.as_bytes()), 1, "{more}");
        }
        // Somebody who was written over it counts.
        let other = template.replace("example.person,", "ada,");
        assert_eq!(imported(other.as_bytes())[0].username(), "ada");
    }

    /// Text that may be there: any, and such as spreadsheets and readers of files trip over.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[-=+@'\"\\\\;,\t ]{1,6}[a-zé=\"';,\\\\ \u{200b}\u{a0}]{0,8}",
            Just("=1+1".to_owned()),
            Just("'tis; \"=x\",'+y".to_owned()),
            Just("\u{FEFF}mark".to_owned()),
            Just("true".to_owned()),
            Just("null".to_owned()),
            Just("1e5".to_owned()),
            Just("0042".to_owned()),
            Just("12345678901234567890123".to_owned()),
            "[ax ]{195,260}",
        ]
    }

    fn of<T>(parse: fn(&str) -> Result<T, Flaw>) -> impl Strategy<Value = T>
    where
        T: std::fmt::Debug,
    {
        text().prop_filter_map("refused", move |text| parse(&text).ok())
    }

    fn attribute() -> impl Strategy<Value = (String, Value)> {
        let names = [
            "email",
            "E-Mail",
            "id",
            "attributes.x",
            "attributes.",
            "First Name",
            "password hint",
            "=sum",
            "'quoted",
            "a;b",
            "a,b",
            "Abteilung",
            "floor",
            "Floor",
            "email (work)",
        ];
        let name = prop_oneof![
            prop::sample::select(names.to_vec()).prop_map(str::to_owned),
            text().prop_filter_map("refused", |text| attribute_name(&text).ok()),
        ];
        let value = prop_oneof![
            text().prop_map(Value::from),
            "[a\r\n\t =;\"'\u{1}\u{85}]{0,9}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
        ];
        (name, value).prop_filter_map("refused", |(name, value)| {
            let members = Map::from_iter([(name, value)]);
            let read = wire::parse::<Attributes>(Value::Object(members)).ok()?;
            read.0.into_iter().next()
        })
    }

    /// Any user that can be made, as it is stored.
    fn user() -> impl Strategy<Value = User> {
        let email = prop_oneof![
            Just(None),
            "[a-z'+=-]{1,8}@[a-z]{1,6}\\.(com|example)"
                .prop_filter_map("refused", |text| Email::parse(&text).ok())
                .prop_map(Some),
        ];
        let zone = prop::sample::select(vec![
            "Europe/Paris",
            "Etc/GMT+5",
            "UTC",
            "America/Port-au-Prince",
        ]);
        let names = (
            of(Username::parse),
            email,
            prop::option::of(of(PersonName::parse)),
            prop::option::of(of(PersonName::parse)),
            prop::option::of(of(DisplayName::parse)),
        );
        let others = (
            prop::option::of(prop::sample::select(vec!["fr-CA", "zh-Hant-TW", "en"])),
            prop::option::of(zone),
            prop::option::of(of(AppleAccount::parse)),
            any::<Option<bool>>(),
            vec(attribute(), 0..6),
            vec(of(GroupName::parse), 0..4),
        );
        (names, others).prop_map(|(names, others)| {
            let mut given = CreateUser {
                username: Some(names.0),
                email: names.1,
                first_name: names.2,
                last_name: names.3,
                display_name: names.4,
                locale: others.0.map(|tag| LocaleTag::parse(tag).unwrap()),
                time_zone: others.1.map(|zone| TimeZone::parse(zone).unwrap()),
                managed_apple_account: others.2,
                enabled: others.3,
                attributes: Some(Attributes(others.4.into_iter().collect::<Map<_, _>>())),
                ..CreateUser::default()
            };
            let profile = given.profile().unwrap();
            let mut user = profile.into_new_user(Uuid::nil(), false, DateTime::UNIX_EPOCH);
            user.groups = others
                .5
                .into_iter()
                .map(|name| GroupRef {
                    id: Uuid::nil(),
                    name: name.into_string(),
                })
                .collect();
            user
        })
    }

    fn exported(users: &[User], separator: Separator) -> Vec<u8> {
        let mut attributes: Vec<String> = users
            .iter()
            .flat_map(|user| user.attributes.keys().cloned())
            .collect();
        attributes.sort();
        attributes.dedup();
        let mut file = MARK.as_bytes().to_vec();
        file.extend(rows(separator, |write| {
            write(header(&attributes));
            for user in users {
                write(cells_of(user, &attributes));
            }
        }));
        file
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        /// An export is taken back, and exported again it is the same.
        #[test]
        fn an_export_is_a_fixed_point(
            users in vec(user(), 1..4),
            separator in prop_oneof![Just(Separator::Comma), Just(Separator::Semicolon)],
        ) {
            let file = exported(&users, separator);
            let rows = imported(&file);
            prop_assert_eq!(rows.len(), users.len());
            prop_assert_eq!(passed(&file), users.len());
            let again: Vec<User> = rows
                .into_iter()
                .zip(&users)
                .map(|(mut row, user)| {
                    let mut again = user.clone();
                    again.groups = row
                        .groups
                        .into_iter()
                        .map(|name| GroupRef { id: Uuid::nil(), name })
                        .collect();
                    let profile = row.user.profile().unwrap();
                    let new = profile.into_new_user(user.id, false, DateTime::UNIX_EPOCH);
                    User { groups: again.groups, ..new }
                })
                .collect();
            prop_assert_eq!(json!(again), json!(users));
            prop_assert_eq!(exported(&again, separator), file);
        }
    }
}
