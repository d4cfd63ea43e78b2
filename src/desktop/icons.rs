//! The tray's icons and the popups' picture, as pixels. Rendered from `assets/icons` beforehand, for every size panels
//! ask for, so that nothing is scaled and nothing is drawn at run time.

use super::menu::IconState;

/// A square or other picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width: u16,
    pub height: u16,
    /// Red, green, blue, opacity; rows from the top.
    pub rgba: Vec<u8>,
}

/// Near white, with a thin dark edge: seen on dark panels for the one and on light panels for the other.
const GLYPH: [u8; 3] = [0xf2, 0xf2, 0xf2];
const EDGE: [u8; 3] = [0x20, 0x24, 0x28];
const NEW: [u8; 3] = [0x3d, 0xae, 0xe9];
const PROBLEM: [u8; 3] = [0xf6, 0x74, 0x00];

/// How opaque each pixel of a state's icon is, in one size: the drawing and, in another colour, its accent.
struct Mask {
    size: u16,
    glyph: &'static [u8],
    accent: Option<&'static [u8]>,
}

macro_rules! masks {
    ($state:literal, $accented:tt) => {
        [
            masks!(@mask $state, $accented, 16, "16"),
            masks!(@mask $state, $accented, 22, "22"),
            masks!(@mask $state, $accented, 24, "24"),
            masks!(@mask $state, $accented, 32, "32"),
            masks!(@mask $state, $accented, 44, "44"),
            masks!(@mask $state, $accented, 48, "48"),
            masks!(@mask $state, $accented, 64, "64"),
        ]
    };
    (@mask $state:literal, accent, $size:literal, $name:literal) => {
        Mask {
            size: $size,
            glyph: include_bytes!(concat!("../../assets/icons/rendered/tray-", $state, ".glyph.", $name, ".pgm")),
            accent: Some(include_bytes!(concat!("../../assets/icons/rendered/tray-", $state, ".accent.", $name, ".pgm"))),
        }
    };
    (@mask $state:literal, plain, $size:literal, $name:literal) => {
        Mask {
            size: $size,
            glyph: include_bytes!(concat!("../../assets/icons/rendered/tray-", $state, ".glyph.", $name, ".pgm")),
            accent: None,
        }
    };
}

static IDLE: [Mask; 7] = masks!("idle", plain);
static WITH_NEW: [Mask; 7] = masks!("new", accent);
static FETCHING: [Mask; 7] = masks!("fetching", plain);
static PAUSED: [Mask; 7] = masks!("paused", plain);
static WITH_PROBLEM: [Mask; 7] = masks!("problem", accent);

/// The icon of a state in all sizes, the smallest first.
pub fn tray(state: IconState) -> Vec<Picture> {
    let (masks, accent) = match state {
        IconState::Idle => (&IDLE, GLYPH),
        IconState::New => (&WITH_NEW, NEW),
        IconState::Fetching => (&FETCHING, GLYPH),
        IconState::Paused => (&PAUSED, GLYPH),
        IconState::Problem => (&WITH_PROBLEM, PROBLEM),
    };
    masks.iter().map(|mask| paint(mask, accent)).collect()
}

/// The program's own picture, for popups.
pub fn mailknock() -> Picture {
    const PAM: &[u8] = include_bytes!("../../assets/icons/rendered/mailknock.64.pam");
    const SIZE: u16 = 64;
    Picture { width: SIZE, height: SIZE, rgba: pixels(PAM, SIZE, 4).to_vec() }
}

/// The pixels of a netpbm file end it.
fn pixels(file: &'static [u8], size: u16, depth: usize) -> &'static [u8] {
    &file[file.len() - usize::from(size) * usize::from(size) * depth..]
}

fn paint(mask: &Mask, accent: [u8; 3]) -> Picture {
    let glyph = pixels(mask.glyph, mask.size, 1);
    let marked = mask.accent.map(|file| pixels(file, mask.size, 1));
    let mut rgba = Vec::with_capacity(glyph.len() * 4);
    for (at, &drawn) in glyph.iter().enumerate() {
        // The drawing leaves a gap around its accent, so a pixel belongs to one of them.
        let marked = marked.map_or(0, |marked| marked[at]);
        if marked > drawn {
            rgba.extend(accent);
            rgba.push(marked);
        } else {
            let edge = edge(glyph, usize::from(mask.size), at);
            rgba.extend(over(drawn, edge));
        }
    }
    Picture { width: mask.size, height: mask.size, rgba }
}

/// How dark a pixel is for the drawing beside it.
fn edge(glyph: &[u8], size: usize, at: usize) -> u8 {
    let (x, y) = (at % size, at / size);
    let near = |x: usize, y: usize| glyph.get(y * size + x).copied().filter(|_| x < size).unwrap_or(0);
    let beside = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
    let darkest = beside.into_iter().filter(|(x, y)| *x < size && *y < size).map(|(x, y)| near(x, y)).max();
    darkest.unwrap_or(0)
}

/// The drawing laid over its edge (Porter and Duff's "over").
fn over(drawn: u8, edge: u8) -> [u8; 4] {
    let (drawn, edge) = (u32::from(drawn), u32::from(edge));
    let under = edge * (255 - drawn) / 255;
    let opacity = drawn + under;
    if opacity == 0 {
        return [0; 4];
    }
    let mix = |channel: usize| (u32::from(GLYPH[channel]) * drawn + u32::from(EDGE[channel]) * under) / opacity;
    let byte = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    [byte(mix(0)), byte(mix(1)), byte(mix(2)), byte(opacity)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [IconState; 5] =
        [IconState::Idle, IconState::New, IconState::Fetching, IconState::Paused, IconState::Problem];

    #[test]
    fn every_state_has_every_size_and_is_visible() {
        for state in STATES {
            for picture in tray(state) {
                assert_eq!(picture.rgba.len(), usize::from(picture.width) * usize::from(picture.height) * 4);
                let opaque = picture.rgba.chunks(4).filter(|pixel| pixel[3] > 200).count();
                assert!(opaque > usize::from(picture.width), "{state:?} at {} is blank", picture.width);
            }
        }
    }

    #[test]
    fn the_rendered_files_have_the_sizes_they_are_read_with() {
        for mask in IDLE.iter().chain(&WITH_NEW).chain(&FETCHING).chain(&PAUSED).chain(&WITH_PROBLEM) {
            let header = format!("P5\n{0} {0}\n255\n", mask.size);
            for file in [Some(mask.glyph), mask.accent].into_iter().flatten() {
                assert!(file.starts_with(header.as_bytes()));
                assert_eq!(file.len(), header.len() + usize::from(mask.size) * usize::from(mask.size));
            }
        }
        assert_eq!(mailknock().rgba.len(), 64 * 64 * 4);
    }

    #[test]
    fn states_can_be_told_apart() {
        let icons: Vec<_> = STATES.map(tray).into();
        for (at, icon) in icons.iter().enumerate() {
            assert!(!icons[..at].contains(icon));
        }
    }
}
