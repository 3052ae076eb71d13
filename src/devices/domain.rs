//! What a device is. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    list_query,
    model::{device::Platform, named::Named, ownership::Decided, search::SearchText},
};

impl Named for Device {
    const NAME: &'static str = "device";
}

/// A device, as the API shows one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Device {
    pub id: Uuid,
    /// Who enrolled it; `null` once it is retired and the user deleted.
    #[schema(required)]
    pub user_id: Option<Uuid>,
    #[schema(required)]
    pub serial_number: Option<String>,
    #[schema(required)]
    pub device_id: Option<String>,
    pub platform: Platform,
    #[schema(required)]
    pub model: Option<String>,
    #[schema(required)]
    pub os_version: Option<String>,
    pub supervised: bool,
    pub user_enrollment: bool,
    pub device_ownership: Decided,
    /// When it was first enrolled by this user.
    pub enrolled_at: DateTime<Utc>,
    /// When it was last enrolled.
    pub updated_at: DateTime<Utc>,
    /// When it was retired; `null`: it is held.
    #[schema(required)]
    pub retired_at: Option<DateTime<Utc>>,
}

list_query!(
    /// The query of `GET /devices`.
    ListQuery("retired") {
        /// A part of the serial number, the device id or the model, without regard to case.
        #[param(value_type = Option<String>, max_length = 200)]
        #[deserr(default)]
        pub q: Option<SearchText>,
        /// Of this user.
        #[deserr(default)]
        pub user_id: Option<Uuid>,
        /// Of this platform.
        #[param(inline)]
        #[deserr(default)]
        pub platform: Option<Platform>,
        /// `true`: those that were retired, instead of those that are held.
        #[deserr(default)]
        #[param(value_type = Option<bool>)]
        pub retired: bool,
    }
);
