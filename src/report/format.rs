//! [`FORMATS`]: every way to write a report down.

use crate::report::text::Color;
use crate::report::{Report, github, gitlab, html, json, junit, markdown, text};

/// One way to write a report down.
#[derive(Debug)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// Who reads it.
    pub what: &'static str,
    /// The whole report in it.
    pub render: fn(&Report) -> String,
}

/// The table.
pub const FORMATS: &[Format] = &[
    Format {
        name: "text",
        what: "For people",
        render: |report| text::render(report, Color::Plain),
    },
    Format {
        name: "json",
        what: "For machines; `samebits report` reads it again",
        render: json::render,
    },
    Format {
        name: "markdown",
        what: "For a comment on a pull request; shorter than GitHub's limit",
        render: markdown::render,
    },
    Format {
        name: "html",
        what: "One page for a browser, with charts; needs no network",
        render: html::render,
    },
    Format {
        name: "junit",
        what: "JUnit XML, for Jenkins, GitLab and most others",
        render: junit::render,
    },
    Format {
        name: "github",
        what: "Annotations for GitHub Actions; there, the job summary and the step's outputs too",
        render: github::annotations,
    },
    Format {
        name: "gitlab",
        what: "Code quality for GitLab",
        render: gitlab::render,
    },
];

impl Format {
    /// The row of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }
}
