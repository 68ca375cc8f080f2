//! The results as pictures: what an event costs by each peer, and how that grows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use plotters::prelude::*;
use plotters::style::FontStyle;

use super::measured::{Measured, NONE, Workload};

/// Where Debian's package fonts-dejavu-core puts it. SVG has text; PNG needs the shapes of letters.
const FONT: &str = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";
const FAMILY: &str = "sans-serif";

const SIZE: (u32, u32) = (960, 480);

/// Peers in the order and the colours of the legend.
const PEERS: &[(&str, RGBColor)] = &[
    ("kevent", RGBColor(0xd6, 0x27, 0x28)),
    ("kevent-get", RGBColor(0xff, 0x9f, 0x9b)),
    ("epoll-et", RGBColor(0x1f, 0x77, 0xb4)),
    ("epoll-lt", RGBColor(0x9e, 0xca, 0xe9)),
    ("io_uring", RGBColor(0x2c, 0xa0, 0x2c)),
    ("io_uring-defer", RGBColor(0x98, 0xdf, 0x8a)),
];

/// The workloads of the bars: an event each, so that one scale serves.
const BARS: &[&str] = &[
    "eventfd-one",
    "eventfd-batch",
    "eventfd-storm",
    "echo-unix",
    "echo-tcp",
    "http",
];

const GROWTH: &str = "growth-";

/// Draws each picture as `NAME.svg` and `NAME.png` in `folder`; returns what it wrote.
pub fn draw(measured: &Measured, folder: &Path, arch: &str) -> Result<Vec<PathBuf>> {
    let font = fs::read(FONT);
    let font = font.with_context(|| format!("no {FONT}; get it: apt install fonts-dejavu-core"))?;
    // The library keeps fonts for ever.
    plotters::style::register_font(
        FAMILY,
        FontStyle::Normal,
        Box::leak(font.into_boxed_slice()),
    )
    .map_err(|_| anyhow!("{FONT} is no font"))?;
    let mut written = Vec::new();
    for (name, of) in [("events", Picture::Events), ("growth", Picture::Growth)] {
        let path = |kind: &str| folder.join(format!("{arch}-{name}.{kind}"));
        let (svg, png) = (path("svg"), path("png"));
        of.draw(&SVGBackend::new(&svg, SIZE).into_drawing_area(), measured)?;
        of.draw(
            &BitMapBackend::new(&png, SIZE).into_drawing_area(),
            measured,
        )?;
        written.extend([svg, png]);
    }
    Ok(written)
}

enum Picture {
    Events,
    Growth,
}

impl Picture {
    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
        measured: &Measured,
    ) -> Result<()> {
        let drawn = match self {
            Picture::Events => events(area, measured)?,
            Picture::Growth => growth(area, measured)?,
        };
        drawn.map_err(|error| anyhow!("cannot draw: {error}"))?;
        area.present()
            .map_err(|error| anyhow!("cannot write: {error}"))
    }
}

/// What can go wrong in a backend.
type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn added(workload: &Workload, peer: &str) -> Option<f64> {
    let cost = workload.costs.iter().find(|cost| cost.peer == peer)?;
    Some(workload.added(cost))
}

fn events<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    measured: &Measured,
) -> Result<Drawn<B>> {
    let find = |name: &&str| measured.workloads.iter().find(|w| w.name == **name);
    let workloads: Vec<&Workload> = BARS.iter().filter_map(find).collect();
    if workloads.len() != BARS.len() {
        bail!("some of {} were not measured", BARS.join(", "));
    }
    let costs = workloads
        .iter()
        .flat_map(|w| PEERS.iter().map(|(peer, _)| added(w, peer)));
    let most = costs.flatten().fold(0.0, f64::max) * 1.4;
    Ok(bars(area, &workloads, most))
}

fn bars<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    workloads: &[&Workload],
    most: f64,
) -> Drawn<B> {
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(
            "Instructions that being told adds to an event",
            (FAMILY, 20),
        )
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..workloads.len() as f64, 0.0..most)?;
    let name = |x: &f64| {
        let middle = (x.fract() - 0.5).abs() < 0.01;
        let workload = workloads.get(*x as usize).filter(|_| middle);
        workload.map_or(String::new(), |workload| workload.name.clone())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(2 * workloads.len() + 1)
        .x_label_formatter(&name)
        .y_label_formatter(&|cost| format!("{cost:.0}"))
        .label_style((FAMILY, 14))
        .draw()?;
    let width = 0.8 / PEERS.len() as f64;
    for (place, (peer, colour)) in PEERS.iter().enumerate() {
        let bar = |(at, workload): (usize, &&Workload)| {
            let left = at as f64 + 0.1 + place as f64 * width;
            let cost = added(workload, peer)?;
            Some(Rectangle::new(
                [(left, 0.0), (left + width, cost)],
                colour.filled(),
            ))
        };
        let colour = *colour;
        chart
            .draw_series(workloads.iter().enumerate().filter_map(bar))?
            .label(*peer)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .label_font((FAMILY, 14))
        .draw()
}

fn growth<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    measured: &Measured,
) -> Result<Drawn<B>> {
    let mut points: Vec<(f64, &Workload)> = Vec::new();
    for workload in &measured.workloads {
        if let Some(watched) = workload.name.strip_prefix(GROWTH) {
            points.push((watched.parse()?, workload));
        }
    }
    if points.is_empty() {
        bail!("growth was not measured");
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(lines(area, &points))
}

fn lines<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    points: &[(f64, &Workload)],
) -> Drawn<B> {
    let of = |peer: &str| -> Vec<(f64, f64)> {
        let cost = |workload: &Workload| {
            let cost = workload.costs.iter().find(|cost| cost.peer == peer)?;
            (peer != NONE).then_some(cost.cost)
        };
        let point = |(watched, workload): &(f64, &Workload)| Some((*watched, cost(workload)?));
        points.iter().filter_map(point).collect()
    };
    let all = PEERS.iter().flat_map(|(peer, _)| of(peer));
    let most = all.map(|(_, cost)| cost).fold(0.0, f64::max) * 1.15;
    let ends = points.first().zip(points.last());
    let range = ends.map_or(1.0..10.0, |(first, last)| first.0..last.0);
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption("Instructions of an event, by files watched", (FAMILY, 20))
        .margin(10)
        .margin_right(40)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(range.log_scale(), 0.0..most)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|cost| format!("{cost:.0}"))
        .label_style((FAMILY, 14))
        .draw()?;
    for (peer, colour) in PEERS {
        let line = of(peer);
        if line.is_empty() {
            continue;
        }
        let colour = *colour;
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)).point_size(3))?
            .label(*peer)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 12, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .label_font((FAMILY, 14))
        .draw()
}
