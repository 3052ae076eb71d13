//! What a landing page goes by: the device, the invitation, and the ways on from there. Pure.

use chrono::{DateTime, Utc};

use crate::{
    model::{
        invitation::{Method, State},
        qr_payload::{QrPayload, TokenUrl},
    },
    string_enum,
};

string_enum! {
    /// What a browser says that it runs on.
    Device {
        /// An iPhone or an iPad. Most iPads pass for a Mac, which is [`Device::Other`].
        Apple = "apple",
        /// A phone or tablet with Android.
        Android = "android",
        /// A computer, or what does not say.
        Other = "other",
    }
}

impl Device {
    /// Reads a `User-Agent`.
    pub fn of(user_agent: &str) -> Self {
        let says = |word| user_agent.contains(word);
        // Windows phones named them all.
        if says("Windows") {
            Self::Other
        } else if says("iPhone") || says("iPad") || says("iPod") {
            Self::Apple
        } else if says("Android") {
            Self::Android
        } else {
            Self::Other
        }
    }
}

string_enum! {
    /// Why an invitation enrolls no more.
    Ended {
        /// Its time is over.
        Expired = "expired",
        /// Its PIN's time is over.
        PinExpired = "pin_expired",
        /// A device has been enrolled with it.
        Completed = "completed",
        /// Taken back.
        Revoked = "revoked",
        /// There is a newer one, or a newer PIN or code of the same.
        Superseded = "superseded",
    }
}

/// What the registration setting, with which an invitation was sent, says about the way on.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// The device management's own page.
    pub mdm_url: Option<TokenUrl>,
    /// What QR codes say.
    pub qr_payload: QrPayload,
    /// Whether a user may ask for another PIN.
    pub allow_pin_request: bool,
}

/// What is known of the invitation behind a genuine token.
#[derive(Debug, Clone)]
pub struct Facts {
    /// As it is now, right to the second.
    pub state: State,
    pub method: Method,
    /// The counter that its live secrets have.
    pub counter: u32,
    /// If its PIN's life has begun.
    pub pin_expires_at: Option<DateTime<Utc>>,
}

impl Facts {
    /// Why a token with this counter enrolls nothing; `None` while it does.
    pub fn ended(&self, counter: u32, now: DateTime<Utc>) -> Option<Ended> {
        match self.state {
            State::Completed => Some(Ended::Completed),
            State::Expired => Some(Ended::Expired),
            State::Revoked => Some(Ended::Revoked),
            State::Superseded => Some(Ended::Superseded),
            State::Pending if counter != self.counter => Some(Ended::Superseded),
            State::Pending if self.pin_expires_at.is_some_and(|at| at <= now) => {
                Some(Ended::PinExpired)
            }
            State::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_apart() {
        for (agent, device) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15",
                Device::Apple,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X)",
                Device::Apple,
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/140",
                Device::Android,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)",
                Device::Other,
            ),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", Device::Other),
            (
                "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950)",
                Device::Other,
            ),
            ("Mozilla/5.0 (X11; Linux x86_64)", Device::Other),
            ("curl/8", Device::Other),
            ("", Device::Other),
        ] {
            assert_eq!(Device::of(agent), device, "{agent}");
        }
    }

    #[test]
    fn an_invitation_tells_why_it_ended() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let facts = |state, pin_expires_at| Facts {
            state,
            method: Method::Pin,
            counter: 2,
            pin_expires_at,
        };
        let later = now + chrono::Duration::seconds(1);
        for (facts, counter, expected) in [
            (facts(State::Pending, None), 2, None),
            (facts(State::Pending, Some(later)), 2, None),
            (facts(State::Pending, Some(now)), 2, Some(Ended::PinExpired)),
            (facts(State::Pending, None), 1, Some(Ended::Superseded)),
            (facts(State::Superseded, None), 2, Some(Ended::Superseded)),
            (facts(State::Expired, Some(now)), 2, Some(Ended::Expired)),
            (
                facts(State::Completed, Some(now)),
                1,
                Some(Ended::Completed),
            ),
            (facts(State::Revoked, None), 2, Some(Ended::Revoked)),
        ] {
            assert_eq!(facts.ended(counter, now), expected, "{facts:?}");
        }
    }
}
