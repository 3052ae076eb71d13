//! What a device is known by. Pure.

use super::wire::line;
use crate::{checked_text, string_enum};

string_enum! {
    /// What runs on a device.
    Platform {
        Ios = "ios",
        Ipados = "ipados",
        Macos = "macos",
        Android = "android",
        Windows = "windows",
        Other = "other",
    }
}

impl Platform {
    /// As its makers write it; nothing where it is none that has a name.
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Ios => "iOS",
            Self::Ipados => "iPadOS",
            Self::Macos => "macOS",
            Self::Android => "Android",
            Self::Windows => "Windows",
            Self::Other => "",
        }
    }
}

checked_text!(
    /// The maker's number of a device: one line of 1 to 100 characters. Upper and lower case are the same.
    SerialNumber,
    |text| line(text, 100)
);

checked_text!(
    /// What an MDM server knows a device by where it shows no serial number (Apple User Enrollment,
    /// Android work profiles): one line of 1 to 200 characters, opaque, so case matters.
    DeviceId,
    |text| line(text, 200)
);

checked_text!(
    /// A model or a version: one line of 1 to 100 characters.
    Label,
    |text| line(text, 100)
);
