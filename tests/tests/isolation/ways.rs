//! What was tried, and what came of it.

/// What tells that something is acme's: a value, a column and how many rows it has. No attempt says them itself.
const MARKS: [&str; 3] = ["SESAME", "ingot_qx", "3137"];

/// An answer: rows as text, or code and words of an error.
pub(crate) type Outcome = Result<String, String>;

/// What of acme's is in a text.
pub(crate) fn leak(text: &str) -> Option<String> {
    let mark = MARKS.iter().find(|mark| text.contains(**mark))?;
    let at = text.find(mark)?;
    let beginning = text.floor_char_boundary(at.saturating_sub(60));
    Some(format!("…{}…", &text[beginning..text.ceil_char_boundary((at + 60).min(text.len()))]))
}

/// What of acme's is in an answer.
pub(crate) fn leak_of(outcome: &Outcome) -> Option<String> {
    match outcome {
        Ok(text) | Err(text) => leak(text),
    }
}

#[derive(Default)]
pub(crate) struct Ways {
    /// Topic, attempt, and what was reached.
    tried: Vec<(&'static str, String, Option<String>)>,
    /// What the owner should have got, and did not.
    asked_wrongly: Vec<String>,
}

impl Ways {
    /// An attempt; `reached` is what it got.
    pub(crate) fn tried(&mut self, topic: &'static str, what: impl Into<String>, reached: Option<String>) {
        self.tried.push((topic, what.into(), reached));
    }

    /// An attempt that is to be refused.
    pub(crate) fn refused(&mut self, topic: &'static str, what: impl Into<String>, outcome: &Outcome) {
        let reached = match outcome {
            Ok(text) => Some(format!("it is answered: {text:.200}")),
            Err(why) => leak(why),
        };
        self.tried(topic, what, reached);
    }

    /// What the owner does in the same way, whether it works.
    pub(crate) fn owner(&mut self, topic: &'static str, what: &str, works: bool) {
        if !works {
            self.asked_wrongly.push(format!("{topic}: {what}"));
        }
    }

    /// Prints all attempts; fails if one worked, or the owner's did not.
    #[allow(clippy::print_stdout, reason = "the list is what the test is about")]
    pub(crate) fn finish(&self) {
        for (number, (topic, what, reached)) in self.tried.iter().enumerate() {
            let verdict = reached.as_ref().map_or("refused".into(), |reached| format!("REACHED {reached}"));
            println!("{:3} {topic:9} {what}: {verdict}", number + 1);
        }
        let reached: Vec<_> = self.tried.iter().filter(|(_, _, reached)| reached.is_some()).collect();
        println!("{} ways were tried, {} work", self.tried.len(), reached.len());
        assert!(reached.is_empty(), "{reached:#?}");
        assert!(self.asked_wrongly.is_empty(), "the owner does not get it: {:#?}", self.asked_wrongly);
        assert!(self.tried.len() >= 100, "only {} ways were tried", self.tried.len());
    }
}
