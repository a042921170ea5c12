//! How the demo speaks: numbered steps with what they found under them.

use std::cell::Cell;

/// Counts the steps.
#[derive(Debug, Default)]
pub struct Screen {
    steps: Cell<u32>,
}

impl Screen {
    /// A heading.
    pub fn step(&self, title: &str) {
        self.steps.set(self.steps.get() + 1);
        println!("\n{}. {title}", self.steps.get());
    }

    /// A finding.
    pub fn say(&self, text: &str) {
        println!("   {text}");
    }

    /// Output of a program, at most that many lines of it.
    pub fn quote(&self, text: &str, most: usize) {
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().take(most) {
            println!("   | {line}");
        }
        if lines.len() > most {
            println!("   | … and {} lines more", lines.len() - most);
        }
    }
}
