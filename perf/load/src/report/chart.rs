//! A chart as SVG inside a page; what it looks like, `page.css` says.
//!
//! Pure.
use super::scale::{Scale, Tick};
use std::fmt::Write as _;

/// The room of a chart, and what of it is around the lines.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// Lines over the same axes.
#[derive(Debug)]
pub(super) struct Chart {
    /// What it shows, for who cannot see it.
    pub(super) label: &'static str,
    pub(super) across: Axis,
    pub(super) up: Axis,
    pub(super) lines: Vec<Line>,
    /// Moments to mark from top to bottom.
    pub(super) marks: Vec<f64>,
}

/// A scale with its numbers.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) ticks: Vec<Tick>,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    /// Its class in the style sheet, which is its colour.
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    /// Broken where there is no value.
    pub(super) points: Vec<(f64, Option<f64>)>,
    pub(super) is_filled: bool,
}

impl Line {
    /// A value for each slot of time, level from its begin to its end; the last slot ends with the run.
    pub(super) fn of_slots(
        class: &'static str,
        name: &'static str,
        slot_seconds: f64,
        end: f64,
        values: impl Iterator<Item = Option<f64>>,
    ) -> Self {
        let mut points = Vec::new();
        for (index, value) in values.enumerate() {
            let begin = slot_seconds * index as f64;
            points.push((begin, value));
            points.push((begin + slot_seconds, value));
        }
        if let Some(last) = points.last_mut() {
            last.0 = end;
        }
        Self { class, name, points, is_filled: false }
    }

    /// Where it is drawn: the parts that hang together.
    fn parts(&self) -> impl Iterator<Item = Vec<(f64, f64)>> {
        self.points
            .split(|(_, value)| value.is_none())
            .filter(|part| !part.is_empty())
            .map(|part| part.iter().filter_map(|(at, value)| Some((*at, (*value)?))).collect())
    }
}

impl Chart {
    pub(super) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            self.label
        );
        self.draw_axes(&mut svg);
        for mark in &self.marks {
            let (x, bottom) = (self.x(*mark), HEIGHT - BOTTOM);
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
            );
        }
        self.lines.iter().for_each(|line| self.draw(&mut svg, line));
        svg + "</svg>\n"
    }

    /// The names of its lines and marks, each in its colour; nothing where there is only one.
    pub(super) fn legend(&self) -> String {
        let names = self.lines.iter().map(|line| (line.class, line.name));
        let marks = self.marks.iter().take(1).map(|_| ("changes", "changes"));
        let all: Vec<_> = names.chain(marks).collect();
        if all.len() < 2 {
            return String::new();
        }
        let spans =
            all.iter().map(|(class, name)| format!("<span class=\"{class}\">{name}</span>"));
        format!("<p class=\"legend\">{}</p>\n", spans.collect::<String>())
    }

    fn draw_axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for Tick { value, text } in &self.up.ticks {
            let y = self.y(*value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" class=\"up\">{text}</text>",
                LEFT - 8.0,
                y + 4.0,
            );
        }
        for Tick { value, text } in &self.across.ticks {
            let x = self.x(*value);
            let _ = writeln!(
                svg,
                "<line class=\"tick\" x1=\"{x:.1}\" y1=\"{bottom}\" x2=\"{x:.1}\" y2=\"{:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" class=\"across\">{text}</text>",
                bottom + 5.0,
                bottom + 20.0,
            );
        }
    }

    fn draw(&self, svg: &mut String, line: &Line) {
        for part in line.parts() {
            let points = part.iter().map(|(at, value)| {
                let (x, y) = (self.x(*at), self.y(*value));
                format!("{x:.1},{y:.1}")
            });
            let points = points.collect::<Vec<_>>().join(" ");
            if let (true, Some(first), Some(last)) = (line.is_filled, part.first(), part.last()) {
                let (begin, end, bottom) = (self.x(first.0), self.x(last.0), HEIGHT - BOTTOM);
                let _ = writeln!(
                    svg,
                    "<polygon class=\"{} area\" points=\"{begin:.1},{bottom} {points} \
                     {end:.1},{bottom}\"/>",
                    line.class,
                );
            }
            let _ = writeln!(svg, "<polyline class=\"{}\" points=\"{points}\"/>", line.class);
        }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.across.scale.at(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.up.scale.at(value) * (HEIGHT - TOP - BOTTOM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_where_there_is_no_value() {
        let values = [Some(1.0), None, Some(2.0), Some(3.0)].into_iter();
        let line = Line::of_slots("done", "done", 0.5, 1.9, values);
        let parts: Vec<_> = line.parts().collect();
        let expected =
            [vec![(0.0, 1.0), (0.5, 1.0)], vec![(1.0, 2.0), (1.5, 2.0), (1.5, 3.0), (1.9, 3.0)]];
        assert_eq!(parts, expected);
    }
}
