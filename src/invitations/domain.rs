//! The words of invitations, and the requests that use them. Pure.

use chrono::{DateTime, Utc};
use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::Serialize;
use unicode_normalization::UnicodeNormalization;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    list_query,
    model::{
        identity::LocaleTag,
        invitation::{Delivery, DeliveryState, MessageKind, MessageState, Method, State},
        named::Named,
        ownership::Ownership,
        wire::{Faults, Flaw, check_length, is_direction_override, parse_text, whole_number},
    },
    selection::domain::{Ids, Selection, UserFilter},
};

/// The administrator's own words in a message: up to 1,000 characters of plain text, lines allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note(String);

impl Note {
    /// # Errors
    /// When it is too long or holds control characters. Blank text is no note.
    pub fn parse(text: &str) -> Result<Option<Self>, Flaw> {
        let note: String = text.replace("\r\n", "\n").trim().nfc().collect();
        check_length(&note, 1_000)?;
        let is_bad =
            |c: char| (c.is_control() && c != '\n' && c != '\t') || is_direction_override(c);
        if note.chars().any(is_bad) {
            return Err(Flaw::new(
                "control_character",
                "must not hold control characters other than line breaks",
            ));
        }
        Ok((!note.is_empty()).then_some(Self(note)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A note as it stands in a body: may be blank.
#[derive(Debug, Default)]
pub struct NoteField(pub Option<Note>);

impl Deserr<Faults> for NoteField {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        match value {
            Value::Null => Ok(Self(None)),
            value => parse_text(value, location, Note::parse).map(Self),
        }
    }
}

/// How many recipients a preview lists: 0 to 500, 50 unless asked.
#[derive(Debug)]
pub struct PreviewLimit(pub u32);

impl Default for PreviewLimit {
    fn default() -> Self {
        Self(50)
    }
}

impl Deserr<Faults> for PreviewLimit {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        whole_number(value, location, 0..=500).map(Self)
    }
}

/// Declares a request that selects users and says how to invite them, with further fields.
macro_rules! invitation_request {
    ($(#[$meta:meta])* $name:ident { $($extra:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Deserr, ToSchema)]
        #[deserr(error = Faults, deny_unknown_fields)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Users to invite.
            #[schema(value_type = Option<Vec<Uuid>>, max_items = 100_000)]
            #[deserr(default)]
            pub user_ids: Option<Ids>,
            /// Groups whose members to invite.
            #[schema(value_type = Option<Vec<Uuid>>, max_items = 100_000)]
            #[deserr(default)]
            pub group_ids: Option<Ids>,
            /// Invite all who match; `{}` matches every user.
            #[deserr(default)]
            pub filter: Option<UserFilter>,
            /// Who owns the devices, instead of what the users' setting says.
            #[deserr(default)]
            pub device_ownership: Option<Ownership>,
            /// What the users enroll with, instead of what their setting says.
            #[deserr(default)]
            pub method: Option<Method>,
            /// The language of the messages, instead of each user's own.
            #[schema(value_type = Option<String>, examples("fr"))]
            #[deserr(default)]
            pub locale: Option<LocaleTag>,
            /// Plain text that the message shows.
            #[deserr(default)]
            #[schema(value_type = Option<String>, max_length = 1_000)]
            pub note: NoteField,
            /// `none` issues the invitations without mailing them.
            #[deserr(default)]
            pub delivery: Option<Delivery>,
            $($extra)*
        }

        impl $name {
            /// Who is selected, and how to invite them.
            pub fn into_parts(self) -> (Selection, Overrides) {
                (
                    Selection { user_ids: self.user_ids, group_ids: self.group_ids, filter: self.filter },
                    Overrides {
                        device_ownership: self.device_ownership,
                        method: self.method,
                        locale: self.locale,
                        note: self.note.0,
                        delivery: self.delivery.unwrap_or(Delivery::Email),
                    },
                )
            }
        }
    };
}

invitation_request!(
    /// The body of `POST /invitations/send`.
    SendRequest {}
);

invitation_request!(
    /// The body of `POST /invitations/preview`.
    PreviewRequest {
        /// Whose message to show; the first who will get one unless given.
        #[deserr(default)]
        pub sample_user_id: Option<Uuid>,
        /// How many recipients to list.
        #[deserr(default)]
        #[schema(value_type = u32, required = false, minimum = 0, maximum = 500, default = 50)]
        pub limit: PreviewLimit,
    }
);

/// The body of `POST /invitations/{id}/resend`.
#[derive(Debug, Default, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct ResendRequest {
    /// Mail a new PIN or QR code; the old one dies. A PIN whose life is over, or whose tries are used up,
    /// is renewed in any case.
    #[deserr(default)]
    #[schema(default = false, required = false)]
    pub new_pin: bool,
}

/// A body without anything in it.
#[derive(Debug, Default, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// The body of `POST /invitations/resend`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct ResendManyRequest {
    /// These users' pending invitations.
    #[schema(value_type = Option<Vec<Uuid>>, max_items = 100_000)]
    #[deserr(default)]
    pub user_ids: Option<Ids>,
    /// Those of the members of these groups.
    #[schema(value_type = Option<Vec<Uuid>>, max_items = 100_000)]
    #[deserr(default)]
    pub group_ids: Option<Ids>,
    /// Those of all who match; `{}` matches every user.
    #[deserr(default)]
    pub filter: Option<UserFilter>,
    /// Mail a new PIN or QR code; the old one dies.
    #[deserr(default)]
    #[schema(default = false, required = false)]
    pub new_pin: bool,
}

impl ResendManyRequest {
    /// Whose, and whether with a new PIN.
    pub fn into_parts(self) -> (Selection, bool) {
        let selection = Selection {
            user_ids: self.user_ids,
            group_ids: self.group_ids,
            filter: self.filter,
        };
        (selection, self.new_pin)
    }
}

/// What the administrator says instead of the recipients' settings.
#[derive(Debug)]
pub struct Overrides {
    pub device_ownership: Option<Ownership>,
    pub method: Option<Method>,
    pub locale: Option<LocaleTag>,
    pub note: Option<Note>,
    pub delivery: Delivery,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            device_ownership: None,
            method: None,
            locale: None,
            note: None,
            delivery: Delivery::Email,
        }
    }
}

list_query!(
    /// The query of `GET /invitations`.
    ListQuery() {
        /// Of this user.
        #[deserr(default)]
        pub user_id: Option<Uuid>,
        /// Of this batch.
        #[deserr(default)]
        pub batch_id: Option<Uuid>,
        /// In this state.
        #[param(inline)]
        #[deserr(default)]
        pub state: Option<State>,
        /// Whose newest message is in this state.
        #[param(inline)]
        #[deserr(default)]
        pub delivery: Option<DeliveryState>,
        /// Of this method.
        #[param(inline)]
        #[deserr(default)]
        pub method: Option<Method>,
    }
);

/// A message, as an invitation shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Message {
    pub id: Uuid,
    pub kind: MessageKind,
    pub state: MessageState,
    /// How often it was handed to a mail server, or tried to be.
    pub attempts: i32,
    #[schema(required)]
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// The server's last reply code (RFC 5321 §4.2).
    #[schema(required)]
    pub smtp_code: Option<i16>,
    /// The server's last enhanced status (RFC 3463).
    #[schema(required)]
    pub enhanced_status: Option<String>,
    /// Why it is in this state, in the server's words or ours.
    #[schema(required)]
    pub reason: Option<String>,
}

impl Named for Invitation {
    const NAME: &'static str = "invitation";
}

/// An invitation, as the API shows one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Invitation {
    pub id: Uuid,
    /// `null` once the user is deleted.
    #[schema(required)]
    pub user_id: Option<Uuid>,
    pub batch_id: Uuid,
    pub method: Method,
    pub state: State,
    pub device_ownership: crate::model::ownership::Shown,
    pub locale: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// Until when the PIN works; `null` for other methods, and before the PIN was handed to a mail server.
    #[schema(required)]
    pub pin_expires_at: Option<DateTime<Utc>>,
    pub resend_count: i32,
    #[schema(required)]
    pub last_sent_at: Option<DateTime<Utc>>,
    pub delivery: DeliveryState,
    pub messages: Vec<Message>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::domain::MOST_RECIPIENTS;
    use serde_json::json;

    #[test]
    fn a_selection_is_empty_unless_something_selects() {
        let selection = |body| {
            crate::model::wire::parse::<SendRequest>(body)
                .unwrap()
                .into_parts()
                .0
        };
        assert!(selection(json!({})).is_empty());
        assert!(selection(json!({"user_ids": [], "group_ids": null})).is_empty());
        assert!(!selection(json!({"filter": {}})).is_empty());
        assert!(!selection(json!({"user_ids": [Uuid::nil()]})).is_empty());
    }

    #[test]
    fn too_many_and_unknown_are_refused() {
        let faults = crate::model::wire::parse::<SendRequest>(json!({
            "user_ids": vec![Uuid::nil(); MOST_RECIPIENTS + 1], "filter": {"group": "x", "status": 1},
            "method": "sms", "note": "a\u{7}b", "sample_user_id": Uuid::nil(), "deliver": "none"
        }))
        .unwrap_err();
        let mut places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        places.sort_unstable();
        assert_eq!(
            places,
            [
                "/deliver",
                "/filter/group",
                "/filter/status",
                "/method",
                "/note",
                "/sample_user_id",
                "/user_ids"
            ]
        );
    }

    #[test]
    fn notes_keep_their_lines() {
        assert_eq!(Note::parse(" a\r\nb ").unwrap().unwrap().as_str(), "a\nb");
        assert_eq!(Note::parse(" \n ").unwrap(), None);
        assert!(Note::parse(&"é".repeat(1_000)).unwrap().is_some());
        assert_eq!(
            Note::parse(&"é".repeat(1_001)).unwrap_err().code,
            "too_long"
        );
    }
}
