use super::*;

const PROBE_EVERY: Duration = Duration::from_secs(60);

fn away(seconds: u64) -> Option<Pause> {
    Some(Pause::Away(Duration::from_secs(seconds)))
}

fn refused(to: &str) -> Heard {
    Heard::Refused(to.to_owned())
}

fn rejected(to: &str) -> Heard {
    Heard::Rejected(to.to_owned())
}

fn unsure(to: &str) -> Heard {
    Heard::Unsure(to.to_owned())
}

#[test]
fn a_server_that_is_away_is_left_alone_and_tried_one_by_one() {
    let (mut pace, mut now) = (Pace::new(8, PROBE_EVERY), Instant::now());
    assert_eq!(pace.hear(Heard::Away, 0, now), None);
    assert_eq!(pace.hear(Heard::Broken, 0, now), None);
    assert_eq!(pace.places(now), 8);
    assert_eq!(pace.hear(Heard::Away, 0, now), away(5));
    assert_eq!(pace.places(now), 0);
    assert_eq!(
        pace.hear(Heard::Away, 0, now),
        None,
        "one of the same moment"
    );
    for pause in [10, 20, 40, 60, 60, 60] {
        now = pace.opens_at().unwrap();
        assert_eq!(pace.places(now), 1);
        assert_eq!(pace.hear(Heard::Away, 0, now), away(pause));
        assert_eq!(pace.places(now), 0);
    }
    now = pace.opens_at().unwrap();
    pace.hear(Heard::Accepted, 0, now);
    assert_eq!((pace.places(now), pace.opens_at()), (1, None));
    for _ in 0..200 {
        pace.hear(Heard::Accepted, 0, now);
    }
    assert_eq!(pace.places(now), 8);
    pace.hear(Heard::Away, 0, now);
    pace.hear(Heard::Answered, 0, now);
    pace.hear(Heard::Away, 0, now);
    assert_eq!(
        pace.hear(Heard::Away, 0, now),
        None,
        "not one after another"
    );
}

#[test]
fn a_refused_sender_is_tried_once_a_minute_when_two_recipients_met_it() {
    let (mut pace, mut now) = (Pace::new(8, PROBE_EVERY), Instant::now());
    let minute = Some(Pause::Refused(PROBE_EVERY));
    assert_eq!(pace.hear(refused("a"), 0, now), None);
    assert_eq!(pace.hear(refused("a"), 0, now), None, "the same again");
    pace.hear(Heard::Accepted, 0, now);
    assert_eq!(
        pace.hear(refused("b"), 0, now),
        None,
        "something was accepted between"
    );
    assert_eq!(pace.hear(Heard::Answered, 0, now), None);
    assert_eq!(pace.hear(refused("c"), 0, now), minute);
    assert_eq!(
        pace.hear(refused("d"), 0, now),
        None,
        "one of the same moment"
    );
    for _ in 0..3 {
        assert_eq!(pace.places(now), 0);
        now = pace.opens_at().unwrap();
        assert_eq!(pace.places(now), 1);
        assert_eq!(pace.hear(refused("e"), 0, now), minute);
    }
    // One that has no such mailbox says nothing of the sender: the next one is tried at once.
    now = pace.opens_at().unwrap();
    assert_eq!(pace.hear(Heard::Answered, 0, now), None);
    assert_eq!((pace.places(now), pace.is_paused()), (1, true));
    pace.hear(Heard::Accepted, 0, now);
    assert_eq!((pace.places(now), pace.is_paused()), (1, false));
    assert_eq!(pace.hear(refused("f"), 0, now), None, "from the beginning");
}

#[test]
fn content_that_is_refused_again_and_again_is_not_tried_on_everybody() {
    let (mut pace, now) = (Pace::new(8, PROBE_EVERY), Instant::now());
    for to in ["a", "b", "c", "d", "d"] {
        assert_eq!(pace.hear(rejected(to), 0, now), None);
    }
    pace.hear(Heard::Accepted, 0, now);
    // One of each kind is none of two.
    assert_eq!(pace.hear(refused("a"), 0, now), None);
    for to in ["b", "c", "d", "e"] {
        assert_eq!(pace.hear(rejected(to), 0, now), None);
    }
    assert!(!pace.is_refused());
    let minute = Some(Pause::Refused(PROBE_EVERY));
    assert_eq!(pace.hear(rejected("f"), 0, now), minute);
    assert!(pace.is_refused());
}

#[test]
fn whatever_a_probe_meets_the_next_one_waits_as_long() {
    let (mut pace, mut now) = (Pace::new(8, PROBE_EVERY), Instant::now());
    pace.hear(refused("a"), 0, now);
    pace.hear(refused("b"), 0, now);
    let opens_at = pace.opens_at();
    // What was on the wire before changes nothing.
    for heard in [
        Heard::Answered,
        unsure("c"),
        Heard::WantsLess,
        Heard::Broken,
    ] {
        assert_eq!(pace.hear(heard, 0, now), None);
        assert_eq!(pace.opens_at(), opens_at);
    }
    for heard in [unsure("d"), Heard::WantsLess, Heard::Broken, Heard::Away] {
        now = pace.opens_at().unwrap();
        assert_eq!(pace.places(now), 1);
        pace.hear(heard, 0, now);
        assert_eq!(pace.opens_at(), Some(now + PROBE_EVERY));
    }
}

#[test]
fn one_that_wants_less_gets_less_at_once_and_slowly_more_again() {
    let (mut pace, mut now) = (Pace::new(8, PROBE_EVERY), Instant::now());
    let started = pace.start(now);
    for _ in 0..5 {
        pace.hear(Heard::WantsLess, started, now);
    }
    assert_eq!(
        pace.places(now),
        4,
        "what was started before is one complaint"
    );
    for expected in [2, 1, 1] {
        let started = pace.start(now);
        pace.hear(Heard::WantsLess, started, now);
        now = pace.opens_at().unwrap_or(now);
        assert_eq!(pace.places(now), expected);
    }
    // Closed for everybody: after three of them in a row none for a while.
    for pause in [None, away(5)] {
        let started = pace.start(now);
        assert_eq!(pace.hear(Heard::WantsLess, started, now), pause);
    }
    assert_eq!(pace.hear(Heard::Nothing, 0, now), None);
}

/// A server that takes so many connections, however many are tried; gives how many complaints it took.
fn settle(limit: usize, messages: u32) -> (usize, u32) {
    let (mut pace, mut now, mut complaints) = (Pace::new(8, PROBE_EVERY), Instant::now(), 0);
    for _ in 0..messages {
        now = pace.opens_at().map_or(now, |at| at.max(now));
        let (at_once, started) = (pace.places(now), pace.start(now));
        let heard = if at_once > limit {
            Heard::WantsLess
        } else {
            Heard::Accepted
        };
        complaints += u32::from(heard == Heard::WantsLess);
        pace.hear(heard, started, now);
        now += Duration::from_millis(10);
    }
    (pace.places(now), complaints)
}

#[test]
fn it_settles_on_what_the_server_takes() {
    for limit in 1..8 {
        let (places, complaints) = settle(limit, 1_000);
        assert_eq!(places, limit);
        assert!(complaints <= 4, "{limit}: {complaints}");
    }
}

#[test]
fn with_one_connection_left_it_waits_between_messages() {
    let (mut pace, mut now) = (Pace::new(1, PROBE_EVERY), Instant::now());
    // Ten a second, and no more.
    let (mut last, mut accepted, begun) = (now, 0, now);
    while now - begun < Duration::from_secs(60) {
        now = pace.opens_at().map_or(now, |at| at.max(now));
        let started = pace.start(now);
        if now - last >= Duration::from_millis(100) {
            last = now;
            accepted += 1;
            pace.hear(Heard::Accepted, started, now);
        } else {
            pace.hear(Heard::WantsLess, started, now);
        }
        now += Duration::from_millis(1);
    }
    assert!(accepted > 250, "{accepted} of 600");
}

#[test]
fn greylisting_slows_nobody_down_and_a_policy_against_all_does() {
    let (mut pace, now) = (Pace::new(8, PROBE_EVERY), Instant::now());
    for number in 0..100 {
        pace.hear(unsure(&format!("a{number}")), 0, now);
        pace.hear(unsure(&format!("a{number}")), 0, now);
        pace.hear(unsure(&format!("b{number}")), 0, now);
        pace.hear(Heard::Accepted, 0, now);
    }
    assert_eq!(pace.places(now), 8);
    // All in a row, as users of one company come: two connections, and never a pause between mails.
    for number in 0..300 {
        pace.hear(unsure(&format!("c{number}")), pace.generation, now);
    }
    assert_eq!((pace.places(now), pace.opens_at()), (2, None));
    pace.hear(Heard::Accepted, 0, now);
    assert_eq!(pace.places(now), 8);
}
