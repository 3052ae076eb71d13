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

/// What makers and tools put where they know no serial number or id, folded: letters and digits alone.
const PLACEHOLDERS: &[&str] = &[
    "chassisserialnumber",
    "default",
    "defaultstring",
    "empty",
    "invalid",
    "na",
    "nil",
    "none",
    "noserialnumber",
    "notapplicable",
    "notavailable",
    "notspecified",
    "null",
    "oem",
    "serialnumber",
    "systemserialnumber",
    "tobefilledbyoem",
    "undefined",
    "unknown",
    "unspecified",
    "xxxxxxxx",
];

/// Whether it stands where a serial number or an id is not known: no device is known by it.
pub fn is_placeholder(name: &str) -> bool {
    let folded: String = name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let all_of = |digits: &[u8]| folded.bytes().all(|byte| digits.contains(&byte));
    PLACEHOLDERS.contains(&&*folded)
        || all_of(b"0")
        || (folded.len() >= 8 && (all_of(b"x") || all_of(b"f")))
        || matches!(&*folded, "123456789" | "0123456789")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_nothing_is_no_name() {
        for name in [
            "unknown",
            "Unknown",
            "UNKNOWN ",
            "none",
            "0",
            "00000000",
            "000-000",
            "n/a",
            "N.A.",
            "null",
            "To Be Filled By O.E.M.",
            "To be filled by O.E.M",
            "Default string",
            "System Serial Number",
            "Not Applicable",
            "Not Specified",
            "-",
            "?",
            "xxxxxxxx",
            "FFFFFFFF",
            "123456789",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert!(is_placeholder(name), "{name}");
        }
        for name in [
            "C02XK0AAJG5H",
            "PF0N1234",
            "0001",
            "XXXX",
            "none7",
            "1234567",
            "未知数",
            "f00f",
        ] {
            assert!(!is_placeholder(name), "{name}");
        }
    }
}
