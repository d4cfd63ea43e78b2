//! The tray's icons and the popups' picture, as pixels. Rendered from `assets/icons` beforehand, for every size panels
//! ask for, so that nothing is scaled and no outline is drawn at run time: masks are laid over each other in colours.

use std::iter;

use super::menu::IconState;

/// A square or other picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width: u16,
    pub height: u16,
    /// Red, green, blue, opacity; rows from the top.
    pub rgba: Vec<u8>,
}

/// Which panel the icons are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Theme {
    /// Any: a light envelope with a dark outline. A dark panel shows the one, a light panel the other.
    Auto,
    /// Light panels.
    Light,
    /// Dark panels.
    Dark,
    /// Any, in colour.
    Colour,
}

impl Theme {
    pub const NAMES: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("light", Self::Light), ("dark", Self::Dark), ("colour", Self::Colour)];

    /// What the envelope is made of, from below.
    fn envelope(self) -> &'static [(usize, Colour)] {
        match self {
            Self::Auto => &[(INSIDE, LIGHT), (LINE, DARK)],
            Self::Light => &[(SOLID, DARK)],
            Self::Dark => &[(SOLID, LIGHT)],
            Self::Colour => &[(INSIDE, SKY), (LINE, NAVY)],
        }
    }
}

type Colour = [u8; 3];

const LIGHT: Colour = [0xf2, 0xf2, 0xf2];
const DARK: Colour = [0x20, 0x24, 0x28];
const SKY: Colour = [0x3d, 0xae, 0xe9];
const NAVY: Colour = [0x0d, 0x3b, 0x66];
const WHITE: Colour = [0xff, 0xff, 0xff];
const RED: Colour = [0xd3, 0x30, 0x2f];
const BLUE: Colour = [0x1a, 0x73, 0xb8];
const GREY: Colour = [0x5f, 0x6b, 0x76];
const ORANGE: Colour = [0xf6, 0x74, 0x00];

/// Something laid over the envelope: a gap around it, a plate, and a sign on the plate.
#[derive(Debug, Clone, Copy)]
struct Mark {
    gap: usize,
    plate: (usize, Colour),
    sign: Option<(usize, Colour)>,
}

/// Where the masks stand in a sheet; `assets/icons/render` writes them in this order.
const INSIDE: usize = 0;
const LINE: usize = 1;
const SOLID: usize = 2;
const DOT: Mark = Mark { gap: 3, plate: (4, RED), sign: None };
const FETCHING: Mark = Mark { gap: 5, plate: (6, BLUE), sign: Some((7, WHITE)) };
const PAUSED: Mark = Mark { gap: 8, plate: (9, GREY), sign: Some((10, WHITE)) };
const PROBLEM: Mark = Mark { gap: 11, plate: (12, ORANGE), sign: Some((13, DARK)) };
const MANY: Mark = Mark { gap: 14, plate: (15, RED), sign: Some((16, WHITE)) };
const NUMBER_GAP: usize = 17;
const NUMBER_PLATE: usize = 18;
/// Of the digit 1; the others follow.
const DIGITS: usize = 19;

/// Below this size there is no room for a number beside another mark.
const ROOM_FOR_TWO: u16 = 22;

/// All masks in one size.
struct Sheet {
    size: u16,
    /// Runs of pixels: opacity in 16 steps in the upper half of the byte, length less one in the lower. No run goes
    /// over the end of a mask.
    runs: &'static [u8],
}

macro_rules! sheet {
    ($size:literal, $file:literal) => {
        Sheet { size: $size, runs: include_bytes!(concat!("../../assets/icons/rendered/", $file)) }
    };
}

static SHEETS: [Sheet; 7] = [
    sheet!(16, "tray-16.rle"),
    sheet!(22, "tray-22.rle"),
    sheet!(24, "tray-24.rle"),
    sheet!(32, "tray-32.rle"),
    sheet!(44, "tray-44.rle"),
    sheet!(48, "tray-48.rle"),
    sheet!(64, "tray-64.rle"),
];

/// The icon of a state in all sizes, the smallest first. `number` is how many messages it tells of.
pub fn tray(state: IconState, number: Option<u32>, theme: Theme) -> Vec<Picture> {
    SHEETS.iter().map(|sheet| sheet.paint(state, number, theme)).collect()
}

/// The program's own picture, for popups.
pub fn mailknock() -> Picture {
    const RGBA: &[u8] = include_bytes!("../../assets/icons/rendered/mailknock-64.rgba");
    Picture { width: 64, height: 64, rgba: RGBA.to_vec() }
}

impl Sheet {
    fn paint(&self, state: IconState, number: Option<u32>, theme: Theme) -> Picture {
        let mark = match state {
            IconState::Idle | IconState::New => None,
            IconState::Fetching => Some(FETCHING),
            IconState::Paused => Some(PAUSED),
            IconState::Problem => Some(PROBLEM),
        };
        let number = match number.filter(|_| mark.is_none() || self.size >= ROOM_FOR_TWO) {
            None | Some(0) => (state == IconState::New).then_some(DOT),
            Some(number) => Some(number_mark(number)),
        };
        let mut pixels = vec![[0; 4]; self.area()];
        for &(mask, colour) in theme.envelope() {
            self.lay(&mut pixels, mask, colour);
        }
        for mark in mark.into_iter().chain(number) {
            self.change(&mut pixels, mark.gap, |[red, green, blue, below], opacity| {
                [red, green, blue, share(below, 255 - opacity)]
            });
            for (mask, colour) in iter::once(mark.plate).chain(mark.sign) {
                self.lay(&mut pixels, mask, colour);
            }
        }
        Picture { width: self.size, height: self.size, rgba: pixels.into_flattened() }
    }

    fn lay(&self, pixels: &mut [[u8; 4]], mask: usize, colour: Colour) {
        self.change(pixels, mask, |pixel, opacity| over(pixel, colour, opacity));
    }

    /// Changes each pixel by the mask's opacity there, where it has any.
    fn change(&self, pixels: &mut [[u8; 4]], mask: usize, change: impl Fn([u8; 4], u8) -> [u8; 4]) {
        let mut rest = pixels;
        for run in self.runs_of(mask) {
            let (these, others) = rest.split_at_mut(length(run));
            let opacity = (run >> 4) * 17;
            if opacity > 0 {
                these.iter_mut().for_each(|pixel| *pixel = change(*pixel, opacity));
            }
            rest = others;
        }
    }

    fn runs_of(&self, mask: usize) -> impl Iterator<Item = u8> {
        let (from, end) = (mask * self.area(), (mask + 1) * self.area());
        let ends = self.runs.iter().scan(0, |pixels, run| {
            *pixels += length(*run);
            Some((*pixels, *run))
        });
        ends.skip_while(move |(at, _)| *at <= from).take_while(move |(at, _)| *at <= end).map(|(_, run)| run)
    }

    fn area(&self) -> usize {
        usize::from(self.size) * usize::from(self.size)
    }
}

fn number_mark(number: u32) -> Mark {
    match number {
        digit @ 1..=9 => {
            let sign = DIGITS + digit as usize - 1;
            Mark { gap: NUMBER_GAP, plate: (NUMBER_PLATE, RED), sign: Some((sign, WHITE)) }
        }
        _ => MANY,
    }
}

fn length(run: u8) -> usize {
    usize::from(run & 15) + 1
}

fn share(whole: u8, part: u8) -> u8 {
    u8::try_from(u32::from(whole) * u32::from(part) / 255).unwrap_or(u8::MAX)
}

/// A colour laid over a pixel (Porter and Duff's "over").
fn over(below: [u8; 4], colour: Colour, opacity: u8) -> [u8; 4] {
    let under = share(below[3], 255 - opacity);
    let whole = u32::from(opacity) + u32::from(under);
    if whole == 0 {
        return [0; 4];
    }
    let mix = |channel: usize| {
        let sum = u32::from(colour[channel]) * u32::from(opacity) + u32::from(below[channel]) * u32::from(under);
        u8::try_from(sum / whole).unwrap_or(u8::MAX)
    };
    [mix(0), mix(1), mix(2), u8::try_from(whole).unwrap_or(u8::MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [IconState; 5] =
        [IconState::Idle, IconState::New, IconState::Fetching, IconState::Paused, IconState::Problem];
    const THEMES: [Theme; 4] = [Theme::Auto, Theme::Light, Theme::Dark, Theme::Colour];
    const MASKS: usize = DIGITS + 9;
    /// Of Adwaita, of a white panel, of Adwaita and Breeze in dark, and of a panel in an accent colour.
    const LIGHT_PANELS: [Colour; 2] = [[0xf6, 0xf5, 0xf4], [0xff, 0xff, 0xff]];
    const DARK_PANELS: [Colour; 2] = [[0x2e, 0x34, 0x36], [0x1e, 0x1e, 0x1e]];
    const BLUE_PANEL: Colour = [0x3d, 0xae, 0xe9];

    fn opacities(sheet: &Sheet, mask: usize) -> Vec<u8> {
        let mut pixels = vec![[0; 4]; sheet.area()];
        sheet.lay(&mut pixels, mask, WHITE);
        pixels.into_iter().map(|pixel| pixel[3]).collect()
    }

    /// Every state without a number, and those that can have one with each.
    fn kinds() -> Vec<(IconState, Option<u32>)> {
        let marked = [IconState::New, IconState::Fetching, IconState::Paused, IconState::Problem];
        let plain = STATES.into_iter().map(|state| (state, None));
        plain.chain(marked.into_iter().flat_map(|state| (1..=10).map(move |number| (state, Some(number))))).collect()
    }

    /// How bright a colour is (WCAG 2.1, relative luminance).
    fn luminance(colour: Colour) -> f64 {
        let linear = colour.map(|channel| {
            let part = f64::from(channel) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    fn contrast(one: Colour, other: Colour) -> f64 {
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    }

    /// How many pixels can be told from the panel as WCAG 2.1 wants it of symbols.
    fn legible(picture: &Picture, panel: Colour) -> usize {
        let seen = |pixel: &&[u8]| {
            let [red, green, blue, _] =
                over([panel[0], panel[1], panel[2], 255], [pixel[0], pixel[1], pixel[2]], pixel[3]);
            contrast([red, green, blue], panel) >= 3.0
        };
        picture.rgba.chunks(4).filter(seen).count()
    }

    #[test]
    fn every_icon_stands_out_from_the_panels_that_it_is_for() {
        // How much of the square is legible at least, as one part in so many. A panel that is neither light nor dark
        // shows the outline and the plates only.
        let (much, enough) = (7, 16);
        let light = LIGHT_PANELS.map(|panel| (panel, much));
        let dark = DARK_PANELS.map(|panel| (panel, much));
        let all = [&light[..], &dark, &[(BLUE_PANEL, enough)]].concat();
        let panels = |theme| match theme {
            Theme::Auto | Theme::Colour => &all[..],
            Theme::Light => &light,
            Theme::Dark => &dark,
        };
        for theme in THEMES {
            for (state, number) in kinds() {
                for picture in tray(state, number, theme) {
                    let area = usize::from(picture.width) * usize::from(picture.height);
                    assert_eq!((picture.rgba.len(), picture.height), (area * 4, picture.width));
                    for (panel, part) in panels(theme) {
                        let legible = legible(&picture, *panel);
                        let told = format!("{theme:?} {state:?} {number:?} at {} on {panel:x?}", picture.width);
                        assert!(legible * part > area, "{told}: {legible} pixels");
                    }
                }
            }
        }
    }

    #[test]
    fn signs_stand_out_from_their_plates() {
        for mark in [FETCHING, PAUSED, PROBLEM, MANY, number_mark(1)] {
            let sign = mark.sign.expect("all of these have one");
            assert!(contrast(sign.1, mark.plate.1) >= 4.5, "{mark:?}");
        }
    }

    #[test]
    fn states_and_numbers_can_be_told_apart_at_every_size() {
        for theme in THEMES {
            let icons: Vec<_> = kinds().into_iter().map(|kind| (kind, tray(kind.0, kind.1, theme))).collect();
            for (at, (kind, icon)) in icons.iter().enumerate() {
                for (earlier, other) in &icons[..at] {
                    for (one, other) in icon.iter().zip(other) {
                        // A mark beside which there is no room for the number is the same with each.
                        let no_room = one.width < ROOM_FOR_TWO && kind.0 == earlier.0 && kind.0 != IconState::New;
                        let differing = one.rgba.chunks(4).zip(other.rgba.chunks(4)).filter(|(a, b)| a != b).count();
                        assert_eq!(differing == 0, no_room, "{kind:?} {earlier:?} at {}", one.width);
                        assert!(no_room || differing >= 2, "{kind:?} {earlier:?} at {}: {differing}", one.width);
                    }
                }
            }
        }
    }

    #[test]
    fn more_than_nine_is_one_icon_and_none_is_a_dot() {
        let new = |number| tray(IconState::New, number, Theme::Auto);
        assert_eq!(new(Some(10)), new(Some(u32::MAX)));
        assert_eq!(new(None), new(Some(0)));
        assert_ne!(new(None), tray(IconState::Idle, None, Theme::Auto));
    }

    #[test]
    fn straight_edges_lie_between_pixels() {
        for sheet in &SHEETS {
            let size = usize::from(sheet.size);
            for mask in [INSIDE, LINE, SOLID, NUMBER_PLATE, MANY.plate.0] {
                let opacities = opacities(sheet, mask);
                // The bottom edge, where it is straight: neither the first nor the last pixels of its row.
                let bottom = (0..size).rev().find(|row| opacities[row * size..][..size].contains(&255));
                let bottom = bottom.expect("something is opaque");
                let below = opacities.get((bottom + 1) * size..).unwrap_or_default();
                assert!(below.iter().all(|opacity| *opacity == 0), "mask {mask} at {size} is blurred below");
            }
        }
    }

    #[test]
    fn the_rendered_files_hold_what_is_read_from_them() {
        for sheet in &SHEETS {
            let mut pixels = 0;
            for run in sheet.runs {
                let mask = pixels / sheet.area();
                pixels += length(*run);
                assert_eq!((pixels - 1) / sheet.area(), mask, "a run at {} goes over the end of its mask", sheet.size);
            }
            assert_eq!(pixels, MASKS * sheet.area());
            for mask in 0..MASKS {
                assert!(opacities(sheet, mask).contains(&255), "mask {mask} at {} is empty", sheet.size);
            }
        }
        let own = mailknock();
        assert_eq!(own.rgba.len(), usize::from(own.width) * usize::from(own.height) * 4);
    }

    #[test]
    fn what_is_laid_over_is_mixed_by_its_opacity() {
        assert_eq!(over([0; 4], RED, 0), [0; 4]);
        assert_eq!(over([0; 4], RED, 17), [RED[0], RED[1], RED[2], 17]);
        assert_eq!(over([1, 2, 3, 255], WHITE, 255), [255; 4]);
        assert_eq!(over([0, 100, 200, 255], [100, 200, 0], 51), [20, 120, 160, 255]);
    }
}
