//! Whether variables are named as settings are, and hold what a setting can be at all: one that is mistyped would change
//! nothing, and nobody would know.

use std::collections::BTreeMap;

use super::{database::DATABASE_URL, http::LISTEN};
use crate::db::usable;

const PREFIX: &str = "ENLIST_";
/// Letters that may be mistyped, and no more than half of a name: any three are three letters from any other three.
const MISTYPED: usize = 3;
/// In what Kubernetes says of services that are called `enlist` or `enlist-…`.
const OF_SERVICES: [&str; 2] = ["_SERVICE_", "_PORT_"];
/// The port that many platforms tell whoever they run.
const PORT: &str = "PORT";
/// Where variables of our tests begin, which no command reads.
const OF_TESTS: [&str; 6] = ["TEST", "CHAOS_", "LONG_", "KILL_", "MODEL_", "PAGES"];

/// What settings there are: the names of their variables, each with all that it can be; nothing where that is open.
pub type Settings = BTreeMap<String, Vec<String>>;

/// What is odd about variables, a line each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Those that are almost a setting which is not set, or cannot be what that holds.
    pub mistyped: Vec<String>,
    /// Those that nobody knows, and change nothing.
    pub unknown: Vec<String>,
}

impl Names {
    /// Looks at the variables that are given, by name and value; `known` are the settings of all commands.
    pub fn look(known: &Settings, given: impl Iterator<Item = (String, String)>) -> Self {
        let given: Vec<(String, String)> = given.collect();
        let is_set = |setting: &str| given.iter().any(|(name, _)| name == setting);
        let mut names = Self::default();
        for (name, value) in &given {
            if let Some(choices) = known.get(name) {
                names
                    .mistyped
                    .extend(flaw(value, choices).map(|flaw| format!("{name} {flaw}")));
                continue;
            }
            if name == PORT && !is_set(LISTEN) && value.parse::<u16>().is_ok() {
                names.unknown.push(format!(
                    "{name} is no setting, and changes nothing: for that port, set {LISTEN}=0.0.0.0:{value}"
                ));
            }
            let meant = spelled(name);
            if is_for_others(&meant, value) {
                continue;
            }
            let nearest = known
                .keys()
                // Others have such names for parts of it: DATABASE_USER, DATABASE_PORT.
                .filter(|setting| *setting != DATABASE_URL || usable(value).is_ok())
                .filter_map(|setting| Some((distance(&meant, setting)?, setting)))
                .min();
            match nearest {
                Some((_, setting)) if is_set(setting) => names.unknown.push(format!(
                    "{name} is no setting: did you mean {setting}, which is set, too? Unset one of them"
                )),
                Some((_, setting)) => names.mistyped.push(format!(
                    "{name} is no setting: did you mean {setting}? Rename it or unset it"
                )),
                None if meant.starts_with(PREFIX) => names
                    .unknown
                    .push(format!("{name} is no setting, and changes nothing")),
                None => {}
            }
        }
        names.mistyped.sort();
        names.unknown.sort();
        names
    }
}

/// What is wrong with a value, whatever the setting.
fn flaw(value: &str, choices: &[String]) -> Option<String> {
    let is_quoted =
        |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    if value.trim().is_empty() {
        Some("is empty: give it a value, or unset it".to_owned())
    } else if is_quoted('"') || is_quoted('\'') {
        Some("stands in quotes, which are part of its value: take them away".to_owned())
    } else if !choices.is_empty() && !choices.iter().any(|choice| choice == value) {
        Some(format!("is `{value}`, and can be: {}", choices.join(", ")))
    } else {
        None
    }
}

/// As settings are spelled: some tools take other signs and small letters in names, too.
fn spelled(name: &str) -> String {
    name.to_ascii_uppercase().replace(['-', '.'], "_")
}

fn is_for_others(name: &str, value: &str) -> bool {
    let own = name.strip_prefix(PREFIX);
    OF_SERVICES.iter().any(|part| name.contains(part))
        || (name.ends_with("_PORT") && value.contains("://"))
        || own.is_some_and(|own| OF_TESTS.iter().any(|begin| own.starts_with(begin)))
}

/// How many letters are between a name and that of a setting, if it may be meant.
fn distance(name: &str, setting: &str) -> Option<usize> {
    let own = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).len();
    let most = MISTYPED.min(own(name).min(own(setting)) / 2);
    Some(strsim::osa_distance(name, setting)).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 9] = [
        "DATABASE_URL",
        "ENLIST_LISTEN",
        "ENLIST_LOG",
        "ENLIST_LOGO",
        "ENLIST_MAIL_FROM",
        "ENLIST_PUBLIC_URL",
        "ENLIST_SMTP_CA",
        "ENLIST_SMTP_URL",
        "ENLIST_SUPPORT",
    ];
    const POSTGRES: &str = "postgres://enlist@localhost/enlist";

    fn look(given: &[(&str, &str)]) -> Names {
        let known = KNOWN.map(|name| (name.to_owned(), Vec::new()));
        let mut known = Settings::from(known);
        known.insert(
            "ENLIST_LOG_FORMAT".into(),
            vec!["human".into(), "json".into()],
        );
        let given = given.iter();
        Names::look(
            &known,
            given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn a_mistyped_name_is_told_with_the_one_that_is_meant() {
        for (name, value, meant) in [
            ("ENLIST_SMTP_ULR", "x", "ENLIST_SMTP_URL"),
            ("ENLIST_SMTPURL", "x", "ENLIST_SMTP_URL"),
            ("ENLIST_STMP_URI", "x", "ENLIST_SMTP_URL"),
            ("ENLIST_SMTP_URL_", "x", "ENLIST_SMTP_URL"),
            ("ENLIST_MAILFORM", "x", "ENLIST_MAIL_FROM"),
            ("ENLIST_PUBLIC_URI", "x", "ENLIST_PUBLIC_URL"),
            ("ENLIST_LITEN", "", "ENLIST_LISTEN"),
            ("ENLIST_LISTE", "x", "ENLIST_LISTEN"),
            ("ENLIST_LOGS", "x", "ENLIST_LOG"),
            ("ENLIST_LGO", "x", "ENLIST_LOG"),
            // In the part that all have.
            ("ENLSIT_SUPPORT", "x", "ENLIST_SUPPORT"),
            ("ENLISTSUPPORT", "x", "ENLIST_SUPPORT"),
            // As some tools let people write them.
            ("enlist_smtp_url", "x", "ENLIST_SMTP_URL"),
            ("ENLIST-SMTP-URL", "x", "ENLIST_SMTP_URL"),
            ("Enlist.Smtp.Ca", "x", "ENLIST_SMTP_CA"),
            ("DATABSE_URL", POSTGRES, "DATABASE_URL"),
            ("DATABASE_URI", POSTGRES, "DATABASE_URL"),
            ("DATBASE_ULR", "host=db dbname=enlist", "DATABASE_URL"),
            ("database_url", POSTGRES, "DATABASE_URL"),
        ] {
            let names = look(&[(name, value), ("PATH", "/bin")]);
            let told = format!("{name} is no setting: did you mean {meant}? Rename it or unset it");
            assert_eq!(names.mistyped, [told]);
            assert_eq!(names.unknown, [""; 0], "{name}");
            // Nothing is missing where that is set.
            let both = look(&[(name, value), (meant, "y")]);
            assert_eq!(both.mistyped, [""; 0], "{name}");
            let told = format!(
                "{name} is no setting: did you mean {meant}, which is set, too? Unset one of them"
            );
            assert_eq!(both.unknown, [told]);
        }
    }

    #[test]
    fn a_value_that_no_setting_can_have_is_told() {
        for (value, told) in [
            ("", "is empty: give it a value, or unset it"),
            (" \n", "is empty: give it a value, or unset it"),
            (
                "'json'",
                "stands in quotes, which are part of its value: take them away",
            ),
            (
                "\"json\"",
                "stands in quotes, which are part of its value: take them away",
            ),
            ("JSONL", "is `JSONL`, and can be: human, json"),
        ] {
            let names = look(&[("ENLIST_LOG_FORMAT", value)]);
            assert_eq!(names.mistyped, [format!("ENLIST_LOG_FORMAT {told}")]);
        }
        for value in ["human", "json"] {
            assert_eq!(look(&[("ENLIST_LOG_FORMAT", value)]), Names::default());
        }
        assert_eq!(look(&[("ENLIST_SUPPORT", "\"")]), Names::default());
    }

    #[test]
    fn the_port_of_a_platform_is_told_unless_it_is_known() {
        let told = look(&[("PORT", "3000")]).unknown;
        assert!(
            told.len() == 1 && told[0].ends_with("ENLIST_LISTEN=0.0.0.0:3000"),
            "{told:?}"
        );
        for given in [
            &[("PORT", "3000"), ("ENLIST_LISTEN", "[::]:3000")][..],
            &[("PORT", "tcp://10.0.0.1:80")],
        ] {
            assert_eq!(look(given), Names::default());
        }
    }

    #[test]
    fn what_nobody_knows_is_told_and_stops_nothing() {
        for name in [
            "ENLIST_COLOUR",
            "ENLIST_WEBHOOK_NETWORKS",
            "enlist_colour",
            "ENLIST_",
            "ENLIST_É",
            // As far from a short name as from any other.
            "ENLIST_FOO",
            "ENLIST_ENV",
            "ENLIST_X",
            "ENLIST_PORT",
        ] {
            let names = look(&[(name, "x")]);
            assert_eq!(names.mistyped, [""; 0], "{name}");
            let told = format!("{name} is no setting, and changes nothing");
            assert_eq!(names.unknown, [told]);
        }
    }

    #[test]
    fn what_is_known_and_what_others_need_is_passed_over() {
        for (name, value) in [
            ("ENLIST_LOG", "info"),
            ("DATABASE_URL", POSTGRES),
            // What Kubernetes says of services called enlist, enlist-db and enlist-ui.
            ("ENLIST_SERVICE_HOST", "10.0.0.1"),
            ("ENLIST_SERVICE_PORT", "8080"),
            ("ENLIST_SERVICE_PORT_HTTP", "8080"),
            ("ENLIST_PORT", "tcp://10.0.0.1:8080"),
            ("ENLIST_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("ENLIST_PORT_8080_TCP_PROTO", "tcp"),
            ("ENLIST_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("ENLIST_DB_SERVICE_HOST", "10.0.0.2"),
            ("ENLIST_UI_PORT", "tcp://10.0.0.3:80"),
            // Of our own tests.
            ("ENLIST_TESTS_SKIPPED", "/tmp/skipped"),
            ("ENLIST_TESTS_AS_OWNER", "1"),
            ("ENLIST_TEST_SUPERVISE", "1"),
            ("ENLIST_CHAOS_USERS", "3000"),
            ("ENLIST_LONG_X", "1"),
            ("ENLIST_KILL_ROUNDS", "10"),
            ("ENLIST_MODEL_CASES", "1000"),
            ("ENLIST_PAGES", "/tmp"),
            // Of other programs.
            ("TEST_DATABASE_URL", POSTGRES),
            ("DATABASE_URI", "mysql://db/x"),
            ("DATABASE_USER", "ada"),
            ("DATABASE_PORT", "5432"),
            ("DATABASE_DSN", ""),
            ("PGUSER", "ada"),
            ("UNLIST", "x"),
        ] {
            assert_eq!(look(&[(name, value)]), Names::default(), "{name}");
        }
    }
}
