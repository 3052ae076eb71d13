//! What settings say, and to whom they apply. Pure.
//!
//! The body of a setting that is stored is read by the same parser that reads requests: so a field that is
//! added later takes its default in what was stored before.

use chrono::{DateTime, Utc};
use deserr::Deserr;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    fields::{Days, Distribution, MdmUrl, Priority, SettingName, Whole},
    resource::Common,
};
use crate::{
    model::{
        invitation::Method,
        ownership::Ownership,
        qr_payload::{PayloadKind, QrPayload, Secret},
        registration::Registration,
        time::Time,
        wire::Faults,
    },
    string_enum,
};

string_enum! {
    /// What a setting is about.
    Kind {
        /// How a user enrolls.
        Registration = "registration",
        /// Whether a user is reminded.
        Reminder = "reminder",
        /// Whether a user gets a confirmation.
        Confirmation = "confirmation",
    }
}

/// The fields of a setting that hold what only an admin may see: they are sealed where they are stored.
pub const SEALED: [&str; 2] = ["mdm_url", "qr_payload"];

/// Whether there is something to keep from others in one of [`SEALED`], as JSON has it. The index
/// `setting_versions_unsealed` says the same.
pub fn is_secret(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(payload) => {
            payload.get("kind").and_then(Value::as_str) != Some(PayloadKind::EnrollmentUrl.as_str())
        }
        _ => true,
    }
}

/// What a kind of setting says.
pub trait Content: Serialize + ToSchema + Default + Clone + PartialEq + Send + 'static {
    /// Which kind.
    const KIND: Kind;
    /// A body that sets one.
    type Request: Deserr<Faults> + 'static;

    /// What every kind has, and what this one has.
    fn parts(request: Self::Request) -> (Common, Self);

    /// What only shows once all fields are known.
    fn check(&self, faults: &mut Faults);

    /// What only those may see who may change settings, each at its place.
    fn secrets(&mut self) -> Vec<Secret<'_>> {
        Vec::new()
    }

    /// Hides what only those may see who may change settings.
    fn hide_secrets(&mut self) {
        for secret in self.secrets() {
            secret.hide();
        }
    }

    /// Gives hidden values that come back as they were shown their stored ones; others of that look are faults.
    fn keep_hidden(&mut self, stored: Option<&Self>, faults: &mut Faults) {
        let mut stored = stored.cloned();
        let stored = stored.as_mut().map(Self::secrets).unwrap_or_default();
        for secret in self.secrets() {
            let place = secret.place.clone();
            let before = stored.iter().find(|stored| stored.place == place);
            if let Err(flaw) = secret.keep(before) {
                faults.push(&place, flaw.code, flaw.detail);
            }
        }
    }
}

/// Declares the body that sets a kind of setting.
macro_rules! setting_request {
    ($(#[$meta:meta])* $name:ident { $($fields:tt)* }) => {
        $(#[$meta])*
        ///
        /// A field that is left out takes its default. `id`, `created_at` and `updated_at` are there so that
        /// what GET gave can be put back; they cannot be changed.
        #[derive(Debug, Deserr, ToSchema)]
        #[deserr(error = Faults, deny_unknown_fields)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// What administrators know the setting by. A custom one needs it; the default is called `Default`.
            #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
            #[deserr(default)]
            pub name: Option<SettingName>,
            /// Among custom settings the lower number applies first, among equal ones the older setting; 100
            /// unless given. The default has none.
            #[schema(value_type = Option<u32>, maximum = 1_000_000)]
            #[deserr(default)]
            pub priority: Option<Priority>,
            /// To whom a custom setting applies: nobody, unless given. The default has none.
            #[deserr(default)]
            pub distribution: Option<Distribution>,
            /// As shown.
            #[schema(read_only)]
            #[deserr(default)]
            pub id: Option<String>,
            /// As shown.
            #[schema(value_type = Option<DateTime<Utc>>, read_only)]
            #[deserr(default)]
            pub created_at: Option<Time>,
            /// As shown.
            #[schema(value_type = Option<DateTime<Utc>>, read_only)]
            #[deserr(default)]
            pub updated_at: Option<Time>,
            $($fields)*
        }

        impl $name {
            fn common(&mut self) -> Common {
                Common {
                    name: self.name.take(),
                    priority: self.priority,
                    distribution: self.distribution.take(),
                    id: self.id.take(),
                    times: [
                        self.created_at.map(|_| "created_at"),
                        self.updated_at.map(|_| "updated_at"),
                    ]
                    .into_iter()
                    .flatten()
                    .collect(),
                }
            }
        }
    };
}

setting_request!(
    /// How users enroll.
    RegistrationRequest {
        /// What the user enrolls with.
        #[schema(required = false)]
        #[deserr(default = Registration::default().method)]
        pub method: Method,
        /// Digits of a PIN.
        #[schema(value_type = u32, required = false, minimum = 4, maximum = 12, default = 8)]
        #[deserr(default = Whole::of(8))]
        pub pin_length: Whole<4, 12>,
        /// Days that a PIN works, not more than the invitation does.
        #[schema(value_type = u32, required = false, minimum = 1, maximum = 30, default = 1)]
        #[deserr(default = Whole::of(1))]
        pub pin_lifetime_days: Days,
        /// Days that an invitation works.
        #[schema(value_type = u32, required = false, minimum = 1, maximum = 30, default = 7)]
        #[deserr(default = Whole::of(7))]
        pub invitation_lifetime_days: Days,
        /// Whether the user may ask for the PIN again.
        #[schema(value_type = bool, required = false, default = true)]
        #[deserr(default = true)]
        pub allow_pin_request: bool,
        /// Who owns the devices, unless the administrator says otherwise.
        #[schema(required = false)]
        #[deserr(default = Registration::default().device_ownership)]
        pub device_ownership: Ownership,
        /// How many devices the user may hold; `null`: any number.
        #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
        #[deserr(default)]
        pub device_limit: Option<Whole<1, 1_000_000>>,
        /// Where the landing page leads to: an https address with `{token}` in it.
        #[schema(value_type = Option<String>, max_length = 1_000, examples("https://mdm.example.com/start?t={token}"))]
        #[deserr(default)]
        pub mdm_url: Option<MdmUrl>,
        /// What a QR code says.
        #[schema(required = false)]
        #[deserr(default)]
        pub qr_payload: QrPayload,
    }
);

impl Content for Registration {
    const KIND: Kind = Kind::Registration;
    type Request = RegistrationRequest;

    fn parts(mut request: RegistrationRequest) -> (Common, Self) {
        let registration = Self {
            method: request.method,
            pin_length: request.pin_length.byte(),
            pin_lifetime_days: request.pin_lifetime_days.byte(),
            invitation_lifetime_days: request.invitation_lifetime_days.byte(),
            allow_pin_request: request.allow_pin_request,
            device_ownership: request.device_ownership,
            device_limit: request.device_limit.map(Whole::get),
            mdm_url: request.mdm_url.take().map(MdmUrl::into_url),
            qr_payload: std::mem::take(&mut request.qr_payload),
        };
        (request.common(), registration)
    }

    fn secrets(&mut self) -> Vec<Secret<'_>> {
        let mdm_url = self.mdm_url.as_mut().map(|url| url.secret("/mdm_url"));
        let payload = self.qr_payload.secrets("/qr_payload");
        mdm_url.into_iter().chain(payload).collect()
    }

    fn check(&self, faults: &mut Faults) {
        if let Err(flaw) = self.qr_payload.fits() {
            faults.push("/qr_payload", flaw.code, flaw.detail);
        }
        if self.pin_lifetime_days > self.invitation_lifetime_days {
            faults.push(
                "/pin_lifetime_days",
                "outlives_invitation",
                format!(
                    "a PIN must not work longer than its invitation: at most {} days, or give a longer \
                     invitation_lifetime_days",
                    self.invitation_lifetime_days
                ),
            );
        }
    }
}

setting_request!(
    /// Whether and when users are reminded.
    ReminderRequest {
        /// Whether reminders are sent.
        #[schema(value_type = bool, required = false, default = false)]
        #[deserr(default)]
        pub enabled: bool,
        /// No reminder is sent before; `null`: from the invitation on.
        #[schema(value_type = Option<DateTime<Utc>>)]
        #[deserr(default)]
        pub start_at: Option<Time>,
        /// No reminder is sent from then on; `null`: as long as the invitation works.
        #[schema(value_type = Option<DateTime<Utc>>)]
        #[deserr(default)]
        pub end_at: Option<Time>,
        /// Days from the invitation to the first reminder, and from each to the next.
        #[schema(value_type = u32, required = false, minimum = 1, maximum = 30, default = 3)]
        #[deserr(default = Whole::of(3))]
        pub every_days: Days,
    }
);

/// The reminder setting: whether and when a user is reminded of a pending invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reminder {
    /// Whether reminders are sent.
    pub enabled: bool,
    /// No reminder is sent before; `null`: from the invitation on.
    #[schema(required)]
    pub start_at: Option<DateTime<Utc>>,
    /// No reminder is sent from then on; `null`: as long as the invitation works.
    #[schema(required)]
    pub end_at: Option<DateTime<Utc>>,
    /// Days from the invitation to the first reminder, and from each to the next.
    pub every_days: u8,
}

impl Default for Reminder {
    fn default() -> Self {
        Self {
            enabled: false,
            start_at: None,
            end_at: None,
            every_days: 3,
        }
    }
}

impl Content for Reminder {
    const KIND: Kind = Kind::Reminder;
    type Request = ReminderRequest;

    fn parts(mut request: ReminderRequest) -> (Common, Self) {
        let reminder = Self {
            enabled: request.enabled,
            start_at: request.start_at.map(|time| time.0),
            end_at: request.end_at.map(|time| time.0),
            every_days: request.every_days.byte(),
        };
        (request.common(), reminder)
    }

    fn check(&self, faults: &mut Faults) {
        if let (Some(start), Some(end)) = (self.start_at, self.end_at)
            && end <= start
        {
            faults.push("/end_at", "before_start", "must be later than start_at");
        }
    }
}

setting_request!(
    /// Whether users get a confirmation after they have enrolled.
    ConfirmationRequest {
        /// Whether confirmations are sent.
        #[schema(value_type = bool, required = false, default = false)]
        #[deserr(default)]
        pub enabled: bool,
    }
);

/// The confirmation setting: whether a user gets a confirmation after enrolling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Confirmation {
    /// Whether confirmations are sent.
    pub enabled: bool,
}

impl Content for Confirmation {
    const KIND: Kind = Kind::Confirmation;
    type Request = ConfirmationRequest;

    fn parts(mut request: ConfirmationRequest) -> (Common, Self) {
        let enabled = request.enabled;
        (request.common(), Self { enabled })
    }

    fn check(&self, _faults: &mut Faults) {}
}

/// Reads what was stored.
///
/// # Errors
/// When it is not what this version writes.
pub fn read_stored<C: Content>(body: serde_json::Value) -> Result<C, String> {
    crate::model::wire::parse::<C::Request>(body)
        .map(|request| C::parts(request).1)
        .map_err(|faults| {
            let places = faults.into_iter().map(|fault| fault.pointer);
            format!(
                "{} setting: {}",
                C::KIND,
                places.collect::<Vec<_>>().join(", ")
            )
        })
}

/// The settings that apply to a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// How the user enrolls.
    pub registration: Registration,
    /// Its version, which an invitation that is sent now is kept with; `None` where nothing is stored.
    pub registration_id: Option<Uuid>,
    /// Whether and when the user is reminded.
    pub reminder: Reminder,
    /// Whether the user gets a confirmation after enrolling.
    pub confirmation: bool,
}
