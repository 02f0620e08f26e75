//! The lessons, compiled in from `examples/lessons`.

use super::Language;

pub struct Lesson {
    pub name: &'static str,
    pub en: &'static str,
    pub pt: &'static str,
    /// Besides the texts: names within the lesson's folder, and their content.
    pub files: &'static [(&'static str, &'static str)],
}

macro_rules! lesson {
    ($name:literal $(, $file:literal)*) => {
        Lesson {
            name: $name,
            en: include_str!(concat!("../../../examples/lessons/", $name, "/lesson.md")),
            pt: include_str!(concat!("../../../examples/lessons/", $name, "/licao.md")),
            files: &[$((
                $file,
                include_str!(concat!("../../../examples/lessons/", $name, "/", $file)),
            )),*],
        }
    };
}

/// In the order in which one would take them; the plan of a class comes last.
pub const LESSONS: &[Lesson] = &[
    lesson!("break-even", "shop.sim.toml"),
    lesson!("scale-to-zero", "office.sim.toml"),
    lesson!("demand", "spike.sim.toml", "waves.sim.toml"),
    lesson!("cold-starts", "cold.sim.toml"),
    lesson!("stateless", "emu.toml", "functions/counter.js"),
    lesson!("asynchronous", "direct.sim.toml", "queued.sim.toml"),
    lesson!("schedule", "nightly.sim.toml"),
    lesson!("chatbot", "chatbot.sim.toml"),
    lesson!("monolith", "monolith.sim.toml", "services.sim.toml"),
    lesson!(
        "packaging",
        "box.sim.toml",
        "emu.toml",
        "functions/cart.js",
        "functions/catalog.js",
        "functions/reports.js",
        "lib/products.js"
    ),
    lesson!("limits", "limits.sim.toml", "neighbours.sim.toml"),
    lesson!("outage", "outage.sim.toml"),
    lesson!("updates", "updates.sim.toml"),
    lesson!("class"),
];

impl Lesson {
    pub fn text(&self, lang: Language) -> &'static str {
        match lang {
            Language::En => self.en,
            Language::Pt => self.pt,
        }
    }

    /// The first line of the text, which is its heading.
    pub fn title(&self, lang: Language) -> &'static str {
        let first = self.text(lang).lines().next().unwrap_or_default();
        first.trim_start_matches('#').trim()
    }
}
