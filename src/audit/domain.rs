//! What is written down of a change or of a look at a secret. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    list_query,
    model::{
        caller::{Caller, Who},
        time::Time,
    },
    string_enum,
};

string_enum! {
    /// What was done.
    Action {
        UserCreated = "user.created",
        UserChanged = "user.changed",
        UserDeleted = "user.deleted",
        UserErased = "user.erased",
        UserExported = "user.exported",
        UserPasswordSet = "user.password_set",
        UsersExported = "users.exported",
        UsersImported = "users.imported",
        GroupCreated = "group.created",
        GroupChanged = "group.changed",
        GroupDeleted = "group.deleted",
        GroupMembersChanged = "group.members_changed",
        SettingCreated = "setting.created",
        SettingChanged = "setting.changed",
        SettingDeleted = "setting.deleted",
        InvitationsSent = "invitations.sent",
        InvitationsResent = "invitations.resent",
        InvitationsRevoked = "invitations.revoked",
        BatchCanceled = "batch.canceled",
        PinViewed = "invitation.pin_viewed",
        PinsViewed = "invitations.pins_viewed",
        QrViewed = "invitation.qr_viewed",
        DeviceRetired = "device.retired",
        SuppressionAdded = "suppression.added",
        SuppressionLifted = "suppression.lifted",
        MailTested = "mail.tested",
        AuditEventsExported = "audit_events.exported",
        ApiKeyCreated = "api_key.created",
        ApiKeyRenamed = "api_key.renamed",
        ApiKeyRevoked = "api_key.revoked",
        ApiKeyUsedAfterEnd = "api_key.used_after_end",
        OperatorCreated = "operator.created",
        OperatorChanged = "operator.changed",
        OperatorDeleted = "operator.deleted",
        OperatorPasswordSet = "operator.password_set",
        OperatorErased = "operator.erased",
        SignedIn = "operator.signed_in",
        SignedOut = "operator.signed_out",
        SignInPaused = "operator.sign_in_paused",
        /// Somebody at the shell said that nobody has a key of the service any more.
        SecretKeyLost = "secret_key.lost",
        /// A newer version took the log over: from there on events are signed.
        AuditUpgraded = "audit_log.upgraded",
        /// A service went on behind links of which it had no key: nobody vouches for them.
        AuditContinued = "audit_log.continued",
        /// Ends of the chain are gone, by a failover or a backup, and somebody with the keys said so.
        AuditLossAcknowledged = "audit_log.loss_acknowledged",
    }
}

string_enum! {
    /// What kind of thing it was done to.
    SubjectKind {
        User = "user",
        Group = "group",
        Setting = "setting",
        Batch = "batch",
        Invitation = "invitation",
        Device = "device",
        Suppression = "suppression",
        Mail = "mail",
        ApiKey = "api_key",
        Operator = "operator",
        AuditLog = "audit_log",
    }
}

string_enum! {
    /// What kind of caller did it.
    ActorKind {
        ApiKey = "api_key",
        Operator = "operator",
        /// Nobody who is known.
        Public = "public",
        /// A command on the server.
        Shell = "shell",
        /// The service by itself.
        Service = "service",
    }
}

string_enum! {
    /// What a look at an event's signature finds.
    Signature {
        /// What is shown is what its writer wrote. Of a person or operator who is erased there is less, and that is no fault.
        Genuine = "genuine",
        /// There is none: a shell without the service's keys cannot sign, and older versions did not.
        Missing = "missing",
        /// It names a key that this service does not have.
        UnknownKey = "unknown_key",
        /// What is shown is not what its writer wrote.
        Wrong = "wrong",
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub kind: ActorKind,
    pub id: Option<Uuid>,
    /// The key's name or the operator's address, as it was then.
    pub name: Option<String>,
}

impl Actor {
    /// As it is kept with what the actor did: `api_key:<id>`, `operator:<id>`, `command_line`.
    pub fn label(&self) -> String {
        match (self.kind, self.id) {
            (kind, Some(id)) => format!("{kind}:{id}"),
            (ActorKind::Shell, None) => "command_line".to_owned(),
            (kind, None) => kind.to_string(),
        }
    }
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self {
            kind: match caller.who {
                Who::Key(_) => ActorKind::ApiKey,
                Who::Operator { .. } => ActorKind::Operator,
            },
            id: Some(caller.id()),
            name: Some(caller.name.to_string()),
        }
    }
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub kind: SubjectKind,
    /// `None` where it is more than one.
    pub id: Option<Uuid>,
}

/// Who did something, as it is stored: a newer version may know more kinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ShownActor {
    #[schema(value_type = ActorKind)]
    pub kind: String,
    #[schema(required)]
    pub id: Option<Uuid>,
    /// The key's name or the operator's address, as it was then.
    #[schema(required)]
    pub name: Option<String>,
}

/// What it was done to, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Subject)]
pub struct ShownSubject {
    #[schema(value_type = SubjectKind)]
    pub kind: String,
    /// `null` where it is more than one.
    #[schema(required)]
    pub id: Option<Uuid>,
}

/// One event, as it is written down.
#[derive(Debug)]
pub struct Event {
    pub action: Action,
    pub subject: Subject,
    /// The user whom the details are about: they go when the user does.
    pub person: Option<Uuid>,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

impl Event {
    /// Something that was done to one thing, or (`None`) to more than one.
    pub fn new(action: Action, kind: SubjectKind, id: impl Into<Option<Uuid>>) -> Self {
        Self {
            action,
            subject: Subject {
                kind,
                id: id.into(),
            },
            person: None,
            before: None,
            after: None,
        }
    }

    /// Says how it was. Never a secret.
    pub fn before(mut self, what: &impl Serialize) -> Self {
        self.before = serde_json::to_value(what).ok();
        self
    }

    /// Says how it is. Never a secret.
    pub fn after(mut self, what: &impl Serialize) -> Self {
        self.after = serde_json::to_value(what).ok();
        self
    }

    /// Says whose data the details are.
    pub fn about(mut self, person: Uuid) -> Self {
        self.person = Some(person);
        self
    }
}

/// An event of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEvent {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor: ShownActor,
    pub action: String,
    pub subject: ShownSubject,
    #[schema(required)]
    pub request_id: Option<String>,
    /// Where the request came from.
    #[schema(required)]
    pub address: Option<String>,
    /// What came of checking its signature just now. `enlist audit verify` checks more: whether events are missing, too.
    pub signature: Signature,
    /// How it was; `null` where there is nothing to say, and once the person is deleted whom it is about.
    #[schema(required, value_type = Option<Object>)]
    pub before: Option<Value>,
    /// How it was made.
    #[schema(required, value_type = Option<Object>)]
    pub after: Option<Value>,
}

list_query!(
    /// The query of `GET /audit-events`.
    ListQuery() {
        /// The event's own id, as `enlist audit verify` names it.
        #[deserr(default)]
        pub id: Option<Uuid>,
        /// What was done.
        #[deserr(default)]
        #[param(inline)]
        pub action: Option<Action>,
        /// The id of the key or operator who did it.
        #[deserr(default)]
        pub actor_id: Option<Uuid>,
        /// The id of what it was done to.
        #[deserr(default)]
        pub subject_id: Option<Uuid>,
        /// From when on.
        #[deserr(default)]
        #[param(value_type = Option<DateTime<Utc>>)]
        pub from: Option<Time>,
        /// Until before when.
        #[deserr(default)]
        #[param(value_type = Option<DateTime<Utc>>)]
        pub to: Option<Time>,
    }
);
