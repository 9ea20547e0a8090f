//! What the charts share: a frame with axes, ticks and units, and round steps.

use std::fmt::Write as _;

use super::super::dictionary::Text;
use super::language::drawn;

/// A drawing area with a scale on each axis. Lengths are in the drawing's own units.
pub(super) struct Frame {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// How far above `top` the name of the vertical axis stands.
    pub(super) name: f64,
    /// The values at the left and right ends.
    pub(super) x: (f64, f64),
    /// The values at the bottom and top ends.
    pub(super) y: (f64, f64),
}

impl Frame {
    /// A frame for shares: both axes from 0 to 1.
    pub(super) fn unit(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            left: 46.0,
            right: width - 14.0,
            top: 34.0,
            bottom: height - 50.0,
            name: 16.0,
            x: (0.0, 1.0),
            y: (0.0, 1.0),
        }
    }

    /// The place of a value on the horizontal axis.
    pub(super) fn at_x(&self, value: f64) -> f64 {
        self.left + (self.right - self.left) * (value - self.x.0) / (self.x.1 - self.x.0)
    }

    /// The place of a value on the vertical axis.
    pub(super) fn at_y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * (value - self.y.0) / (self.y.1 - self.y.0)
    }

    /// Opens the drawing. It is named by the element with the id `label`.
    pub(super) fn open(&self, class: &str, label: &str) -> String {
        format!(
            "<svg class=\"plot {class}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{label}\">",
            self.width, self.height
        )
    }

    /// Grid lines and numbers at `ticks`, and the axis' name above its top end.
    pub(super) fn vertical(&self, ticks: &[(f64, String)], name: &Text) -> String {
        let mut out = String::new();
        for (value, text) in ticks {
            let y = self.at_y(*value);
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{:.1} {y:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                self.left,
                self.right,
                self.left - 8.0,
                y + 4.0
            );
        }
        out + &drawn(
            name,
            &format!("class=\"axis-name\" x=\"{:.1}\" y=\"{:.1}\"", self.left - 38.0, self.top - self.name),
        )
    }

    /// The base line with numbers at `ticks`, and the axis' name under its right end.
    pub(super) fn horizontal(&self, ticks: &[(f64, String)], name: &Text) -> String {
        let mut out = format!("<path class=\"axis\" d=\"M{:.1} {:.1}H{:.1}\"/>", self.left, self.bottom, self.right);
        for (value, text) in ticks {
            let x = self.at_x(*value);
            let _ = write!(
                out,
                "<path class=\"axis\" d=\"M{x:.1} {:.1}v5\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                self.bottom,
                self.bottom + 19.0
            );
        }
        let place =
            format!("class=\"axis-name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\"", self.right, self.bottom + 39.0);
        out + &drawn(name, &place)
    }

    /// Points as the `d` of a path; a gap where a value is lacking.
    pub(super) fn path(&self, points: impl IntoIterator<Item = Option<(f64, f64)>>) -> String {
        let mut out = String::new();
        let mut is_down = false;
        for point in points {
            if let Some((x, y)) = point {
                let _ = write!(out, "{}{:.1} {:.1}", if is_down { "L" } else { "M" }, self.at_x(x), self.at_y(y));
            }
            is_down = point.is_some();
        }
        out
    }
}

/// 0, 0.25, 0.5, 0.75 and 1.
pub(super) fn quarters() -> Vec<(f64, String)> {
    ["0", "0.25", "0.5", "0.75", "1"].iter().enumerate().map(|(i, text)| (i as f64 / 4.0, (*text).to_owned())).collect()
}

/// 1, 2 or 5 times a power of ten, such that `range` has about `parts` steps.
pub(super) fn nice_step(range: f64, parts: f64) -> f64 {
    let rough = if range > 0.0 { range / parts } else { 1.0 };
    let mut unit = 1.0_f64;
    while unit > rough {
        unit /= 10.0;
    }
    while unit * 10.0 <= rough {
        unit *= 10.0;
    }
    match rough / unit {
        r if r <= 1.0 => unit,
        r if r <= 2.0 => 2.0 * unit,
        r if r <= 5.0 => 5.0 * unit,
        _ => 10.0 * unit,
    }
}
