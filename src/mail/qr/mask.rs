//! Which of the eight masks a QR code gets: the one that leaves the fewest shapes that confuse a reader (ISO/IEC 18004
//! §7.8.3). The `qrcode` crate chooses the same one, module by module; here a line of modules is one number, and making
//! the code, which is most of what a mail with one costs, takes a fraction of the time. Pure.

use qrcode::{
    Color,
    canvas::{Canvas, MaskPattern},
};

const MASKS: [MaskPattern; 8] = [
    MaskPattern::Checkerboard,
    MaskPattern::HorizontalLines,
    MaskPattern::VerticalLines,
    MaskPattern::DiagonalLines,
    MaskPattern::LargeCheckerboard,
    MaskPattern::Fields,
    MaskPattern::Diamonds,
    MaskPattern::Meadow,
];

/// The modules of a finished code, row by row. `drawn` is all of it but the mask, `width` the modules of each side.
pub fn masked(drawn: &Canvas, width: usize) -> Vec<Color> {
    if width > 128 {
        return drawn.apply_best_mask().into_colors();
    }
    MASKS
        .iter()
        .map(|mask| {
            let mut canvas = drawn.clone();
            canvas.apply_mask(*mask);
            canvas.into_colors()
        })
        .min_by_key(|colors| penalty(colors, width))
        .unwrap_or_default()
}

/// The sum of what each of the standard's four features costs.
fn penalty(colors: &[Color], width: usize) -> u32 {
    // Bit `i` of a line is set where its module `i` is dark.
    let mut rows = vec![0_u128; width];
    let mut columns = vec![0_u128; width];
    for (y, (row, colors)) in rows.iter_mut().zip(colors.chunks(width)).enumerate() {
        for (x, (column, color)) in columns.iter_mut().zip(colors).enumerate() {
            let dark = u128::from(*color == Color::Dark);
            *row |= dark << x;
            *column |= dark << y;
        }
    }
    let lines = rows.iter().chain(&columns);
    lines
        .map(|line| runs(*line, width) + finders(*line, width))
        .sum::<u32>()
        + blocks(&rows, width)
        + balance(&rows, width)
}

/// The first so many modules.
fn first(modules: usize) -> u128 {
    u128::MAX >> (128 - modules)
}

/// Where a module is like the next one.
fn alike(line: u128, width: usize) -> u128 {
    !(line ^ (line >> 1)) & first(width - 1)
}

/// Five in a row alike cost 3, each further one 1.
fn runs(line: u128, width: usize) -> u32 {
    let alike = alike(line, width);
    let fives = alike & (alike >> 1) & (alike >> 2) & (alike >> 3);
    let begun = fives & !(fives << 1);
    fives.count_ones() + 2 * begun.count_ones()
}

/// What looks like a corner's finder pattern, with four light modules on either side: 40.
fn finders(line: u128, width: usize) -> u32 {
    let dark = |at: u32| line >> at;
    let pattern = dark(0) & !dark(1) & dark(2) & dark(3) & dark(4) & !dark(5) & dark(6);
    let before = (line << 1) | (line << 2) | (line << 3) | (line << 4);
    let behind = dark(7) | dark(8) | dark(9) | dark(10);
    40 * (pattern & !(before & behind) & first(width)).count_ones()
}

/// Each square of two by two alike: 3.
fn blocks(rows: &[u128], width: usize) -> u32 {
    rows.windows(2)
        .map(|pair| {
            let squares = alike(pair[0], width) & alike(pair[1], width) & !(pair[0] ^ pair[1]);
            3 * squares.count_ones()
        })
        .sum()
}

/// Each half a hundredth away from as much dark as light: 1.
fn balance(rows: &[u128], width: usize) -> u32 {
    let dark: u32 = rows.iter().map(|row| row.count_ones()).sum();
    (dark as usize * 200 / (width * width)).abs_diff(100) as u32
}
