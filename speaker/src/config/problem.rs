//! What can be wrong with a configuration file, in words that name file, line and key.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake, or one thing that is legal and doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; `None` when it concerns the file as a whole.
    pub line: Option<usize>,
    /// The table, as it is written: `[speaker]`, `[[peer]] "tor-a"`; empty outside of one.
    pub section: String,
    /// The key; empty when the table itself is meant.
    pub key: String,
    /// What was found, and what would be right.
    pub text: String,
}

impl Problem {
    /// With the file in front, as compilers write it.
    #[must_use]
    pub fn in_file<'p>(&'p self, file: &'p Path) -> impl fmt::Display + 'p {
        ProblemInFile {
            file,
            problem: self,
        }
    }
}

struct ProblemInFile<'p> {
    file: &'p Path,
    problem: &'p Problem,
}

impl fmt::Display for ProblemInFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            line,
            section,
            key,
            text,
        } = self.problem;
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = line {
            write!(f, "{line}:")?;
        }
        for part in [section, key] {
            if !part.is_empty() {
                write!(f, " {part}:")?;
            }
        }
        write!(f, " {text}")
    }
}

/// Everything that is wrong with a file. One line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// At least one, in the order of the file.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", problem.in_file(&self.file))?;
        }
        Ok(())
    }
}
