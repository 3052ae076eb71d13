//! QR codes as PNG and SVG: error correction M, a quiet zone of 4 modules (ISO/IEC 18004), at least
//! 8 px a module. Not cheap: a tenth of a millisecond for a link. Pure.

mod mask;

use std::fmt::Write;

use png::{BitDepth, ColorType, DeflateCompression, Encoder, EncodingError, Filter};
use qrcode::{
    Color, EcLevel, QrResult, Version,
    bits::{self, Bits},
    canvas::Canvas,
    ec,
};

/// Pixels of a module's side.
pub(super) const MODULE_PX: u32 = 8;
/// A seventh of a code may be unreadable.
const LEVEL: EcLevel = EcLevel::M;
/// Modules around the code.
const QUIET_ZONE: usize = 4;
/// Eight 1-bit pixels, which is one module of one row.
const WHITE: u8 = 0xff;
const BLACK: u8 = 0x00;

/// Why there is no QR code. Does not quote the payload: it may hold a token.
#[derive(Debug, thiserror::Error)]
pub enum QrError {
    #[error("{0} bytes are too many for a QR code")]
    TooLong(usize),
    #[error("the picture could not be written: {0}")]
    Picture(#[from] EncodingError),
}

/// A QR code as a 1-bit greyscale PNG.
pub struct QrPng {
    pub bytes: Vec<u8>,
    /// Pixels of each side.
    pub width: u32,
}

/// A QR code as SVG.
pub struct QrSvg {
    pub text: String,
    /// Of each side, with the quiet zone.
    pub modules: usize,
}

/// The dark and light squares, with the quiet zone around them.
struct Modules {
    /// Of each side.
    width: usize,
    /// Row by row.
    dark: Vec<bool>,
}

impl Modules {
    fn of(payload: &str) -> Result<Self, QrError> {
        let (colors, inner) = bits::encode_auto(payload.as_bytes(), LEVEL)
            .or_else(|_| as_bytes(payload))
            .and_then(code)
            .map_err(|_| QrError::TooLong(payload.len()))?;
        let width = inner + 2 * QUIET_ZONE;
        let mut dark = vec![false; width * QUIET_ZONE];
        for row in colors.chunks(inner) {
            dark.extend([false; QUIET_ZONE]);
            dark.extend(row.iter().map(|color| *color == Color::Dark));
            dark.extend([false; QUIET_ZONE]);
        }
        dark.resize(width * width, false);
        Ok(Self { width, dark })
    }

    fn rows(&self) -> impl Iterator<Item = &[bool]> {
        self.dark.chunks(self.width)
    }
}

/// The largest code, all in bytes: what alternates between digits, capitals and others can end up longer
/// when it is split by its kinds of characters, as is done first.
fn as_bytes(payload: &str) -> QrResult<Bits> {
    let mut bits = Bits::new(Version::Normal(40));
    bits.push_byte_data(payload.as_bytes())?;
    bits.push_terminator(LEVEL)?;
    Ok(bits)
}

/// The modules of the code, row by row, and how many each side has.
fn code(bits: Bits) -> QrResult<(Vec<Color>, usize)> {
    let version = bits.version();
    let width = usize::try_from(version.width()).unwrap_or_default();
    let (data, correction) = ec::construct_codewords(&bits.into_bytes(), version, LEVEL)?;
    let mut canvas = Canvas::new(version, LEVEL);
    canvas.draw_all_functional_patterns();
    canvas.draw_data(&data, &correction);
    Ok((mask::masked(&canvas, width), width))
}

/// Draws a payload as PNG.
///
/// # Errors
/// [`QrError`].
pub fn png(payload: &str) -> Result<QrPng, QrError> {
    let modules = Modules::of(payload)?;
    let width = u32::try_from(modules.width)
        .ok()
        .and_then(|width| width.checked_mul(MODULE_PX))
        .ok_or(QrError::TooLong(payload.len()))?;
    let mut pixels = Vec::with_capacity(modules.dark.len() * MODULE_PX as usize);
    for row in modules.rows() {
        let start = pixels.len();
        pixels.extend(
            row.iter()
                .map(|is_dark| if *is_dark { BLACK } else { WHITE }),
        );
        for _ in 1..MODULE_PX {
            pixels.extend_from_within(start..start + modules.width);
        }
    }
    let mut bytes = Vec::with_capacity(4096);
    let mut encoder = Encoder::new(&mut bytes, width, width);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::One);
    // Seven of eight rows are the one above, so that this filter leaves zeros. For a link of 85 bytes:
    // 1.9 KB in 50 µs, where level 3 without a filter makes 0.6 KB in 260 µs.
    encoder.set_filter(Filter::Up);
    encoder.set_deflate_compression(DeflateCompression::FdeflateUltraFast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(QrPng { bytes, width })
}

/// Draws a payload as SVG: one path on a white ground, so that it also scans from a dark page.
///
/// # Errors
/// [`QrError`].
pub fn svg(payload: &str) -> Result<QrSvg, QrError> {
    let modules = Modules::of(payload)?;
    let mut path = String::with_capacity(modules.dark.len() * 5);
    for (y, row) in modules.rows().enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|left, right| left == right) {
            if run[0] {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{x} {y}h{length}v1h-{length}z", length = run.len());
            }
            x += run.len();
        }
    }
    let side = modules.width;
    let pixels = side * MODULE_PX as usize;
    let text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{pixels}\" height=\"{pixels}\" \
         viewBox=\"0 0 {side} {side}\" role=\"img\" shape-rendering=\"crispEdges\">\
         <title>QR code</title><rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    );
    Ok(QrSvg {
        text,
        modules: side,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use qrcode::QrCode;

    use super::*;

    const LINK: &str =
        "https://enroll.example.com/enroll/AQAB3mC0lJtL9Q1xZ0vYw7p2a8Uu4KfRkSdH6nTgEoXbVi_P";

    /// The pixels of a PNG, row by row: whether each is black.
    fn bitmap(bytes: &[u8]) -> (png::OutputInfo, Vec<bool>) {
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
        let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut buffer).unwrap();
        let pixels = buffer
            .chunks(info.line_size)
            .flat_map(|row| (0..info.width as usize).map(|x| row[x / 8] >> (7 - x % 8) & 1 == 0))
            .collect();
        (info, pixels)
    }

    pub(crate) fn scan(side: usize, is_dark: impl Fn(usize, usize) -> bool) -> String {
        let mut image = rqrr::PreparedImage::prepare_from_bitmap(side, side, is_dark);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }

    /// What a camera would read.
    pub(crate) fn scan_png(bytes: &[u8]) -> String {
        let (info, pixels) = bitmap(bytes);
        let side = info.width as usize;
        scan(side, |x, y| pixels[y * side + x])
    }

    /// The modules of one of our own SVGs, from its path.
    pub(crate) fn svg_modules(svg: &str) -> (usize, Vec<bool>) {
        let number = |text: &str| text.parse::<usize>().unwrap();
        let side = svg.split("viewBox=\"0 0 ").nth(1).unwrap();
        let side = number(side.split(' ').next().unwrap());
        let path = svg
            .split(" d=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let mut dark = vec![false; side * side];
        for run in path.split('M').skip(1) {
            let run = run.strip_suffix('z').unwrap();
            let parts: Vec<&str> = run.split([' ', 'h', 'v']).collect();
            let [x, y, right, "1", left] = parts[..] else {
                panic!("{run}")
            };
            assert_eq!(left, format!("-{right}"));
            let start = number(y) * side + number(x);
            dark[start..start + number(right)].fill(true);
        }
        (side, dark)
    }

    #[test]
    fn the_png_is_as_specified() {
        let png = png(LINK).unwrap();
        let (info, pixels) = bitmap(&png.bytes);
        assert_eq!((info.width, info.height), (png.width, png.width));
        assert_eq!(info.color_type, ColorType::Grayscale);
        assert_eq!(info.bit_depth, BitDepth::One);
        assert!(png.bytes.len() < 2_500, "{}", png.bytes.len());
        // 8 px a module, 4 light modules around, the finder pattern's 7 dark ones right behind.
        let side = png.width as usize;
        assert_eq!((side / 8 - 8 - 17) % 4, 0);
        let dark: Vec<usize> = (0..side)
            .filter(|at| (0..side).any(|x| pixels[at * side + x]))
            .collect();
        assert_eq!((dark[0], dark[dark.len() - 1]), (32, side - 33));
        let first = &pixels[32 * side..33 * side];
        assert!(first[32..32 + 56].iter().all(|dark| *dark));
        assert!(!first[32 + 56]);
        assert_eq!(scan_png(&png.bytes), LINK);
    }

    #[test]
    fn the_svg_is_as_specified() {
        let svg = svg(LINK).unwrap().text;
        let (side, dark) = svg_modules(&svg);
        let modules = Modules::of(LINK).unwrap();
        assert_eq!((side, &dark), (modules.width, &modules.dark));
        assert_eq!(svg.matches("<path").count(), 1);
        for part in [
            &format!("width=\"{0}\" height=\"{0}\"", side * 8) as &str,
            "shape-rendering=\"crispEdges\"",
            "<title>",
            "fill=\"#fff\"",
        ] {
            assert!(svg.contains(part), "{part}");
        }
        assert!(!svg.contains(LINK));
        assert_eq!(scan(side * 4, |x, y| dark[y / 4 * side + x / 4]), LINK);
    }

    /// ISO/IEC 18004, table 7: version 40 at M holds 2,331 bytes.
    #[test]
    fn the_longest_payload_fits_and_one_byte_more_is_refused() {
        let longest = "x".repeat(2_331);
        assert_eq!(scan_png(&png(&longest).unwrap().bytes), longest);
        let longer = "x".repeat(2_332);
        assert!(matches!(png(&longer), Err(QrError::TooLong(2_332))));
        let error = svg(&longer).err().unwrap().to_string();
        assert!(!error.contains("xx"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn links_are_read_back(
            link in "https?://[a-z0-9.-]{3,40}(:[0-9]{2,5})?/[A-Za-z0-9_/-]{0,160}"
        ) {
            prop_assert_eq!(scan_png(&png(&link).unwrap().bytes), &link[..]);
            let (side, dark) = svg_modules(&svg(&link).unwrap().text);
            prop_assert_eq!(scan(side * 3, |x, y| dark[y / 3 * side + x / 3]), &link[..]);
        }

        /// The library's own choice of the mask is what ours is held against.
        #[test]
        fn a_code_is_the_one_that_the_library_makes(text in "[ -~]{1,1000}") {
            let (colors, width) = code(bits::encode_auto(text.as_bytes(), LEVEL).unwrap()).unwrap();
            let theirs = QrCode::with_error_correction_level(&text, LEVEL).unwrap();
            prop_assert_eq!(width, theirs.width());
            prop_assert!(colors == theirs.into_colors());
        }

        #[test]
        fn other_text_is_read_back(text in "[ -~\u{a0}-\u{2ff}\u{3040}-\u{30ff}]{1,120}") {
            prop_assert_eq!(scan_png(&png(&text).unwrap().bytes), text);
        }
    }
}
