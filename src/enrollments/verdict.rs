//! Which right a secret gives, once it was looked at. Pure.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::model::{
    invitation::{Method, State},
    ownership::Ownership,
};

/// How long a repeat of the same request gets the same enrollment.
pub const REPEATED_WITHIN: Duration = Duration::hours(24);

/// An invitation that somebody enrolls with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    pub id: Uuid,
    pub method: Method,
    /// As it is stored: what is over may still be called pending.
    pub state: State,
    pub expires_at: DateTime<Utc>,
    /// When its PIN stops working; `None` without one, or while its life has not begun.
    pub pin_expires_at: Option<DateTime<Utc>>,
    pub device_ownership: Ownership,
    /// The language of its messages.
    pub locale: String,
}

/// What of that which was shown is right. `None`: was not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    pub pin: Option<bool>,
    pub password: Option<bool>,
    pub token: Option<bool>,
}

impl Right {
    /// Whether it is what a method asks for. What a method does not ask for is not looked at: a form that
    /// has a field for everything may be filled in whole.
    fn is_enough_for(self, method: Method) -> bool {
        let (pin, password) = (self.pin == Some(true), self.password == Some(true));
        match method {
            Method::Pin => pin,
            Method::Password => password,
            Method::PinAndPassword => pin && password,
            Method::Qr => self.token == Some(true),
        }
    }
}

/// What a secret is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: some of it is wrong, or what it belongs to was taken back.
    Wrong,
    /// It belongs to somebody who is disabled.
    Disabled,
    /// Enrolls with the invitation.
    Enroll,
    /// Enrolls without any invitation, by the password alone.
    EnrollAlone,
    /// Has enrolled a device before.
    Used,
    /// The PIN's life is over, the invitation's is not.
    PinExpired,
    /// The invitation's life is over.
    InvitationExpired,
}

/// Decides. `newest` is the user's newest invitation (or the token's), `alone` whether the user's setting
/// lets a password enroll alone.
pub fn verdict(
    newest: Option<&Invited>,
    right: Right,
    enabled: bool,
    alone: bool,
    now: DateTime<Utc>,
) -> Verdict {
    let state = newest.map(|invited| invited.state.at(invited.expires_at, now));
    let fits = newest.is_some_and(|invited| right.is_enough_for(invited.method));
    // While an invitation is pending, its method rules.
    let by_password = alone
        && state != Some(State::Pending)
        && right.password == Some(true)
        && right.pin.is_none();
    let verdict = match state.filter(|_| fits) {
        Some(State::Pending)
            if newest
                .and_then(|invited| invited.pin_expires_at)
                .is_some_and(|end| end <= now) =>
        {
            Verdict::PinExpired
        }
        Some(State::Pending) => Verdict::Enroll,
        _ if by_password => Verdict::EnrollAlone,
        Some(State::Completed) => Verdict::Used,
        Some(State::Expired) => Verdict::InvitationExpired,
        // Disabling somebody revokes the invitation: with the right secret that is told as what it is.
        Some(State::Revoked) if !enabled => Verdict::Disabled,
        Some(State::Revoked | State::Superseded) | None => Verdict::Wrong,
    };
    if verdict != Verdict::Wrong && !enabled {
        Verdict::Disabled
    } else {
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Right = Right {
        pin: None,
        password: None,
        token: None,
    };
    const METHODS: [Method; 4] = [
        Method::Pin,
        Method::Password,
        Method::PinAndPassword,
        Method::Qr,
    ];

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn invited(method: Method, state: State) -> Invited {
        Invited {
            id: Uuid::nil(),
            method,
            state,
            expires_at: now() + Duration::days(7),
            pin_expires_at: method.has_pin().then(|| now() + Duration::days(1)),
            device_ownership: Ownership::Undefined,
            locale: "en".into(),
        }
    }

    fn right(method: Method) -> Right {
        Right {
            pin: method.has_pin().then_some(true),
            password: method.has_password().then_some(true),
            token: (method == Method::Qr).then_some(true),
        }
    }

    #[test]
    fn each_method_takes_what_it_asks_for_and_nothing_less() {
        let three = [None, Some(false), Some(true)];
        for method in METHODS {
            let invited = invited(method, State::Pending);
            for pin in three {
                for password in three {
                    for token in three {
                        let shown = Right {
                            pin,
                            password,
                            token,
                        };
                        let needed = right(method);
                        let enough = (needed.pin.is_none() || pin == needed.pin)
                            && (needed.password.is_none() || password == needed.password)
                            && (needed.token.is_none() || token == needed.token);
                        let expected = if enough {
                            Verdict::Enroll
                        } else {
                            Verdict::Wrong
                        };
                        for alone in [false, true] {
                            let found = verdict(Some(&invited), shown, true, alone, now());
                            assert_eq!(found, expected, "{method} {shown:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_over_is_told_to_those_with_the_right_secret_only() {
        for method in METHODS {
            for (state, expected) in [
                (State::Completed, Verdict::Used),
                (State::Expired, Verdict::InvitationExpired),
                (State::Revoked, Verdict::Wrong),
                (State::Superseded, Verdict::Wrong),
            ] {
                let invited = invited(method, state);
                let decide = |right, enabled| verdict(Some(&invited), right, enabled, false, now());
                assert_eq!(decide(right(method), true), expected, "{method} {state}");
                assert_eq!(decide(NOTHING, true), Verdict::Wrong);
                assert_eq!(decide(NOTHING, false), Verdict::Wrong);
                let disabled = if state == State::Superseded {
                    Verdict::Wrong
                } else {
                    Verdict::Disabled
                };
                assert_eq!(decide(right(method), false), disabled, "{method} {state}");
            }
        }
    }

    #[test]
    fn the_invitations_end_comes_before_the_pins() {
        let mut invited = invited(Method::Pin, State::Pending);
        let decide =
            |invited: &Invited| verdict(Some(invited), right(Method::Pin), true, false, now());
        invited.pin_expires_at = Some(now());
        assert_eq!(decide(&invited), Verdict::PinExpired);
        invited.pin_expires_at = None;
        assert_eq!(decide(&invited), Verdict::Enroll, "not handed over yet");
        invited.expires_at = now();
        invited.pin_expires_at = Some(now());
        assert_eq!(decide(&invited), Verdict::InvitationExpired);
    }

    #[test]
    fn a_password_alone_enrolls_where_the_setting_says_so_and_nothing_is_pending() {
        let password = right(Method::Password);
        let decide =
            |newest: Option<&Invited>, right, alone| verdict(newest, right, true, alone, now());
        assert_eq!(decide(None, password, true), Verdict::EnrollAlone);
        assert_eq!(decide(None, password, false), Verdict::Wrong);
        let with_pin = Right {
            pin: Some(true),
            ..password
        };
        assert_eq!(decide(None, with_pin, true), Verdict::Wrong);
        for method in METHODS {
            let pending = invited(method, State::Pending);
            let expected = if method == Method::Password {
                Verdict::Enroll
            } else {
                Verdict::Wrong
            };
            assert_eq!(decide(Some(&pending), password, true), expected);
            for state in [
                State::Completed,
                State::Expired,
                State::Revoked,
                State::Superseded,
            ] {
                let over = invited(method, state);
                assert_eq!(decide(Some(&over), password, true), Verdict::EnrollAlone);
            }
        }
        assert_eq!(
            verdict(None, password, false, true, now()),
            Verdict::Disabled
        );
    }
}
