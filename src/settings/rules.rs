//! Which settings apply to many users at once: the few that there are, and for each user which of them. Pure.

use uuid::Uuid;

use crate::model::registration::Registration;

/// Of the kinds that matter while inviting, every setting in the order of application; the default is the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Each with the id of its version; `None` where nothing is stored.
    pub registrations: Vec<(Option<Uuid>, Registration)>,
    /// Whether confirmations are on.
    pub confirmations: Vec<bool>,
    /// The custom settings, in the order of application of each kind.
    pub custom: Vec<Custom>,
}

/// A custom setting, and where it stands among those of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Custom {
    pub id: Uuid,
    pub is_confirmation: bool,
    pub at: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            registrations: vec![(None, Registration::default())],
            confirmations: vec![false],
            custom: Vec::new(),
        }
    }
}

/// Which of the rules apply to a user: places in their lists. Small, because there may be 100,000 users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which {
    pub registration: u32,
    pub confirmation: u32,
}

impl Which {
    /// Of each kind the one that stands before the other.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            registration: self.registration.min(other.registration),
            confirmation: self.confirmation.min(other.confirmation),
        }
    }
}

impl Rules {
    /// What applies to whom only this custom setting holds.
    pub fn by(&self, custom: &Custom) -> Which {
        let defaults = self.defaults();
        match custom.is_confirmation {
            true => Which {
                confirmation: custom.at,
                ..defaults
            },
            false => Which {
                registration: custom.at,
                ..defaults
            },
        }
    }

    /// What applies to whom no custom setting holds.
    pub fn defaults(&self) -> Which {
        let last = |length: usize| u32::try_from(length.saturating_sub(1)).unwrap_or(u32::MAX);
        Which {
            registration: last(self.registrations.len()),
            confirmation: last(self.confirmations.len()),
        }
    }
}
