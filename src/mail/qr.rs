//! QR codes as PNG and SVG: error correction M, a quiet zone of 4 modules (ISO/IEC 18004), at least
//! 8 px a module. Pure.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

const QUIET_ZONE: usize = 4;
const MODULE_PX: usize = 8;

/// Why there is no QR code.
#[derive(Debug, thiserror::Error)]
pub enum QrError {
    #[error("{0} bytes are too many for a QR code")]
    TooLong(usize),
    #[error("the picture could not be written: {0}")]
    Picture(String),
}

/// A QR code as a 1-bit greyscale PNG.
pub struct QrPng {
    pub bytes: Vec<u8>,
    /// Pixels of each side.
    pub width: u32,
}

struct Modules {
    width: usize,
    dark: Vec<bool>,
}

impl Modules {
    fn of(payload: &str) -> Result<Self, QrError> {
        let code = QrCode::with_error_correction_level(payload, EcLevel::M)
            .map_err(|_| QrError::TooLong(payload.len()))?;
        Ok(Self {
            width: code.width(),
            dark: code
                .to_colors()
                .into_iter()
                .map(|color| color == Color::Dark)
                .collect(),
        })
    }

    /// Modules of each side, with the quiet zone.
    const fn full_width(&self) -> usize {
        self.width + 2 * QUIET_ZONE
    }

    /// Whether a module is dark, counted with the quiet zone.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET_ZONE).filter(|at| *at < self.width);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => self.dark[y * self.width + x],
            _ => false,
        }
    }
}

/// Draws a payload as PNG.
///
/// # Errors
/// [`QrError`].
pub fn png(payload: &str) -> Result<QrPng, QrError> {
    let modules = Modules::of(payload)?;
    let side = modules.full_width() * MODULE_PX;
    let width = u32::try_from(side).map_err(|_| QrError::TooLong(payload.len()))?;
    let stride = side.div_ceil(8);
    let mut pixels = Vec::with_capacity(stride * side);
    for y in 0..modules.full_width() {
        // A module is exactly one byte of eight 1-bit pixels: 0 is black, 1 is white.
        let row: Vec<u8> = (0..modules.full_width())
            .map(|x| if modules.is_dark(x, y) { 0x00 } else { 0xff })
            .collect();
        for _ in 0..MODULE_PX {
            pixels.extend_from_slice(&row);
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, width);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    // Seven of eight rows repeat the one above: that filter leaves almost nothing to compress.
    encoder.set_filter(png::Filter::Up);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder
        .write_header()
        .map_err(|error| QrError::Picture(error.to_string()))?;
    writer
        .write_image_data(&pixels)
        .map_err(|error| QrError::Picture(error.to_string()))?;
    writer
        .finish()
        .map_err(|error| QrError::Picture(error.to_string()))?;
    Ok(QrPng { bytes, width })
}

/// Draws a payload as SVG: one path on a white ground, so that it also scans from a dark page.
///
/// # Errors
/// [`QrError`].
pub fn svg(payload: &str) -> Result<String, QrError> {
    let modules = Modules::of(payload)?;
    let full = modules.full_width();
    let side = full * MODULE_PX;
    let mut path = String::new();
    for y in 0..full {
        let mut x = 0;
        while x < full {
            let run = (x..full).take_while(|at| modules.is_dark(*at, y)).count();
            if run > 0 {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{x} {y}h{run}v1h-{run}z");
            }
            x += run.max(1);
        }
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{side}\" height=\"{side}\" viewBox=\"0 0 {full} {full}\" \
         role=\"img\" shape-rendering=\"crispEdges\"><title>QR code</title>\
         <rect width=\"{full}\" height=\"{full}\" fill=\"#fff\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(png: &QrPng) -> String {
        let decoder = png::Decoder::new(std::io::Cursor::new(&png.bytes));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let side = png.width as usize;
        let stride = side.div_ceil(8);
        let mut image = rqrr::PreparedImage::prepare_from_bitmap(side, side, |x, y| {
            pixels[y * stride + x / 8] >> (7 - x % 8) & 1 == 0
        });
        image.detect_grids()[0].decode().unwrap().1
    }

    #[test]
    fn the_picture_is_as_specified() {
        let png = png("https://enroll.example.com/enroll/abc").unwrap();
        assert_eq!(png.width % 8, 0);
        assert!(png.bytes.len() < 3_000, "{}", png.bytes.len());
        assert_eq!(decode(&png), "https://enroll.example.com/enroll/abc");
    }

    #[test]
    fn the_svg_has_the_same_modules() {
        let payload = "https://enroll.example.com/enroll/abc";
        let (modules, svg) = (Modules::of(payload).unwrap(), svg(payload).unwrap());
        let path = svg.split("d=\"").nth(1).unwrap();
        let mut dark = vec![false; modules.full_width().pow(2)];
        for run in path.split('M').skip(1) {
            let numbers: Vec<usize> = run
                .split([' ', 'h', 'v'])
                .take(3)
                .map(|n| n.parse().unwrap())
                .collect();
            for x in numbers[0]..numbers[0] + numbers[2] {
                dark[numbers[1] * modules.full_width() + x] = true;
            }
        }
        for (index, dark) in dark.into_iter().enumerate() {
            let (x, y) = (index % modules.full_width(), index / modules.full_width());
            assert_eq!(dark, modules.is_dark(x, y));
        }
    }

    #[test]
    fn too_much_is_refused() {
        assert!(matches!(
            png(&"x".repeat(5_000)),
            Err(QrError::TooLong(5_000))
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_drawn_reads_back(payload in "https://[a-z]{3,30}\\.example/enroll/[A-Za-z0-9_-]{20,120}") {
            prop_assert_eq!(decode(&png(&payload).unwrap()), payload);
        }
    }
}
