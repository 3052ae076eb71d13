//! When a reminder is due (PRODUCT §5). Pure.
//!
//! Days are those of the user's zone. A reminder goes out at nine; one that nobody was there to send at nine goes out
//! later the same day, but not in the evening: then it is the next day's.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use crate::settings::domain::Reminder;

/// The hour at which reminders go out.
const NINE: u32 = 9;
/// The hour from which on it is too late for one.
const EVENING: u32 = 18;
/// Reminders of one invitation, until it is resent.
pub const MOST: i64 = 30;

/// What there is to know of an invitation.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    /// The user's.
    pub zone: Tz,
    /// When it was sent, or last resent.
    pub sent_at: DateTime<Utc>,
    /// Reminders since then.
    pub reminders: i64,
    /// The day of the last of them.
    pub last_on: Option<NaiveDate>,
}

/// The zone of this name; UTC where it is unknown.
pub fn zone(name: Option<&str>) -> Tz {
    name.and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
}

/// The day that a reminder is due for now, if one is. What the setting says holds from `valid_from` on: who switches
/// reminders on in the afternoon sends the first ones the next morning.
pub fn due(
    past: &Past,
    setting: &Reminder,
    valid_from: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<NaiveDate> {
    let here = now.with_timezone(&past.zone);
    let today = here.date_naive();
    let nine = nine_on(today, past.zone)?;
    let last = past.sent_at.with_timezone(&past.zone).date_naive();
    let last = past.last_on.map_or(last, |on| on.max(last));
    let is_the_day = last
        .checked_add_days(Days::new(setting.every_days.into()))
        .is_some_and(|day| day <= today);
    let may_be = setting.enabled
        && past.reminders < MOST
        && valid_from <= nine
        && setting.start_at.is_none_or(|start| start <= nine)
        && setting.end_at.is_none_or(|end| now < end);
    let is_the_hour = nine <= now && here.hour() < EVENING;
    (is_the_day && may_be && is_the_hour).then_some(today)
}

/// The next time at which it is nine there, after `now`.
pub fn next_nine(zone: Tz, now: DateTime<Utc>) -> DateTime<Utc> {
    now.with_timezone(&zone)
        .date_naive()
        .iter_days()
        // A zone may leave out a day, but no two.
        .take(3)
        .filter_map(|day| nine_on(day, zone))
        .find(|nine| *nine > now)
        .unwrap_or(now + TimeDelta::days(1))
}

/// Nine o'clock of a day: the first one where clocks are put back across it, the next hour that there is where they
/// are put forward; `None` where the zone leaves the day out.
fn nine_on(day: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    (NINE..EVENING)
        .filter_map(|hour| day.and_hms_opt(hour, 0, 0))
        .find_map(|at| at.and_local_timezone(zone).earliest())
        .map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn every(every_days: u8) -> Reminder {
        Reminder {
            enabled: true,
            every_days,
            ..Reminder::default()
        }
    }

    fn sent(zone: Tz, sent_at: &str) -> Past {
        Past {
            zone,
            sent_at: at(sent_at),
            reminders: 0,
            last_on: None,
        }
    }

    /// The day for which one is due.
    fn on(past: &Past, setting: &Reminder, now: &str) -> Option<String> {
        due(past, setting, at("2020-01-01T00:00:00Z"), at(now)).map(|day| day.to_string())
    }

    #[test]
    fn at_nine_of_the_day_in_the_users_zone() {
        for (zone, every_days, due_at) in [
            (Tz::UTC, 1, "2026-11-24T09:00:00Z"),
            (Tz::Europe__Paris, 1, "2026-11-24T08:00:00Z"),
            (Tz::America__New_York, 3, "2026-11-26T14:00:00Z"),
            // There it was the next day already.
            (Tz::Pacific__Auckland, 1, "2026-11-24T20:00:00Z"),
            (Tz::Asia__Kathmandu, 30, "2026-12-23T03:15:00Z"),
        ] {
            let past = sent(zone, "2026-11-23T12:00:00Z");
            let second = TimeDelta::seconds(1);
            let day = at(due_at).with_timezone(&zone).date_naive();
            let is_due = |now| due(&past, &every(every_days), past.sent_at, now);
            assert_eq!(is_due(at(due_at) - second), None, "{zone}");
            assert_eq!(is_due(at(due_at)), Some(day), "{zone}");
            assert_eq!(next_nine(zone, at(due_at) - second), at(due_at), "{zone}");
            assert!(next_nine(zone, at(due_at)) > at(due_at), "{zone}");
        }
    }

    #[test]
    fn none_on_the_day_that_it_was_sent() {
        let past = sent(Tz::Europe__Paris, "2026-11-22T23:10:00Z");
        assert_eq!(on(&past, &every(1), "2026-11-23T10:00:00Z"), None);
        assert!(on(&past, &every(1), "2026-11-24T10:00:00Z").is_some());
    }

    #[test]
    fn the_next_one_counts_from_the_last() {
        let mut past = sent(Tz::UTC, "2026-11-20T12:00:00Z");
        past.last_on = NaiveDate::from_ymd_opt(2026, 11, 23);
        for (day, is_due) in [
            (23, false),
            (24, false),
            (25, false),
            (26, true),
            (29, true),
        ] {
            let now = format!("2026-11-{day}T09:00:00Z");
            assert_eq!(on(&past, &every(3), &now).is_some(), is_due, "{now}");
        }
    }

    #[test]
    fn late_the_same_day_but_not_in_the_evening() {
        let past = sent(Tz::Europe__Paris, "2026-11-20T12:00:00Z");
        for (now, day) in [
            ("2026-11-24T07:59:59Z", None),
            ("2026-11-24T16:59:59Z", Some("2026-11-24")),
            ("2026-11-24T17:00:00Z", None),
            ("2026-11-24T23:30:00Z", None),
            ("2026-11-25T08:00:00Z", Some("2026-11-25")),
        ] {
            assert_eq!(on(&past, &every(3), now).as_deref(), day, "{now}");
        }
    }

    #[test]
    fn nine_is_nine_on_both_sides_of_a_change_of_clocks() {
        let zone = Tz::America__New_York;
        // Forward on 8 March, back on 1 November.
        for (now, next) in [
            ("2026-03-07T14:00:00Z", "2026-03-08T13:00:00Z"),
            ("2026-10-31T13:00:00Z", "2026-11-01T14:00:00Z"),
        ] {
            assert_eq!(next_nine(zone, at(now)), at(next));
        }
        let past = sent(zone, "2026-10-31T20:00:00Z");
        assert_eq!(on(&past, &every(1), "2026-11-01T13:30:00Z"), None);
        assert!(on(&past, &every(1), "2026-11-01T14:00:00Z").is_some());
        // Samoa had no 30 December 2011.
        let samoa = at("2011-12-29T20:00:00Z");
        let next = next_nine(Tz::Pacific__Apia, samoa);
        assert_eq!(next, at("2011-12-30T19:00:00Z"));
    }

    #[test]
    fn not_before_the_start_nor_from_the_end_on() {
        let past = sent(Tz::UTC, "2026-11-20T12:00:00Z");
        let now = "2026-11-24T09:30:00Z";
        let with = |start: Option<&str>, end: Option<&str>| Reminder {
            start_at: start.map(at),
            end_at: end.map(at),
            ..every(1)
        };
        assert!(on(&past, &with(Some("2026-11-24T09:00:00Z"), None), now).is_some());
        // It starts in the course of the day: the next nine is the first.
        assert!(on(&past, &with(Some("2026-11-24T09:00:01Z"), None), now).is_none());
        assert!(on(&past, &with(None, Some("2026-11-24T09:30:01Z")), now).is_some());
        assert!(on(&past, &with(None, Some(now)), now).is_none());
    }

    #[test]
    fn what_is_switched_on_later_begins_the_next_morning() {
        let past = sent(Tz::UTC, "2026-11-20T12:00:00Z");
        let (nine, now) = (at("2026-11-24T09:00:00Z"), at("2026-11-24T15:00:00Z"));
        assert!(due(&past, &every(1), nine, now).is_some());
        let later = nine + TimeDelta::seconds(1);
        assert_eq!(due(&past, &every(1), later, now), None);
        assert_eq!(due(&past, &Reminder::default(), nine, now), None, "off");
    }

    #[test]
    fn thirty_are_enough() {
        let mut past = sent(Tz::UTC, "2026-11-20T12:00:00Z");
        past.reminders = MOST - 1;
        assert!(on(&past, &every(1), "2026-11-24T09:00:00Z").is_some());
        past.reminders = MOST;
        assert!(on(&past, &every(1), "2026-11-24T09:00:00Z").is_none());
    }

    #[test]
    fn an_unknown_zone_is_utc() {
        assert_eq!(zone(None), Tz::UTC);
        assert_eq!(zone(Some("Mars/Olympus")), Tz::UTC);
        assert_eq!(zone(Some("Europe/Paris")), Tz::Europe__Paris);
    }
}
