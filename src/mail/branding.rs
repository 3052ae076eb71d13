//! Whose mails and pages these are: name, support contact and logo. Pure.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};

/// Who mails are from, to the eye.
#[derive(Debug, Clone)]
pub struct Branding {
    /// The organisation's name.
    pub org_name: String,
    /// Whom to ask: an e-mail address or an http(s) URL.
    pub support: Option<String>,
    /// The organisation's picture.
    pub logo: Option<Logo>,
}

/// A picture that mail programs show: PNG, JPEG or GIF, at most 256 KiB.
#[derive(Debug, Clone)]
pub struct Logo {
    pub(super) content_type: &'static str,
    pub(super) filename: &'static str,
    pub(super) bytes: Arc<[u8]>,
}

/// Why a logo was not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogoError {
    #[error("is no PNG, JPEG or GIF, which are what mail programs show")]
    Unknown,
    #[error("has {0} bytes; it goes into every mail, so at most {max} are taken", max = Logo::LARGEST)]
    TooLarge(usize),
}

impl Logo {
    /// The picture inside an address (RFC 2397), for pages.
    pub fn data_url(&self) -> String {
        format!(
            "data:{};base64,{}",
            self.content_type,
            STANDARD.encode(&self.bytes)
        )
    }

    /// Bytes.
    const LARGEST: usize = 256 * 1024;

    /// Tells a picture by its first bytes.
    ///
    /// # Errors
    /// [`LogoError`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, LogoError> {
        let (content_type, filename) = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            ("image/png", "logo.png")
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            ("image/jpeg", "logo.jpg")
        } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            ("image/gif", "logo.gif")
        } else {
            return Err(LogoError::Unknown);
        };
        if bytes.len() > Self::LARGEST {
            return Err(LogoError::TooLarge(bytes.len()));
        }
        Ok(Self {
            content_type,
            filename,
            bytes: bytes.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logos_are_told_by_their_first_bytes() {
        let told = |bytes: &[u8]| Logo::parse(bytes.to_vec()).map(|logo| logo.content_type);
        assert_eq!(told(b"\x89PNG\r\n\x1a\n..."), Ok("image/png"));
        assert_eq!(told(b"\xff\xd8\xff\xe0..."), Ok("image/jpeg"));
        assert_eq!(told(b"GIF89a..."), Ok("image/gif"));
        for wrong in [&b""[..], b"\x89PN", b"<svg/>", b"RIFF....WEBP", b"GIF8"] {
            assert_eq!(told(wrong), Err(LogoError::Unknown));
        }
        let mut large = b"GIF89a".to_vec();
        large.resize(Logo::LARGEST, 0);
        assert!(told(&large).is_ok());
        large.push(0);
        assert_eq!(told(&large), Err(LogoError::TooLarge(262_145)));
    }
}
