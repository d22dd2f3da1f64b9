//! Filling a template in.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::{Deserialize, Serialize};

/// Steps that a template may take, so that none runs for ever.
const FUEL: u64 = 100_000;

/// The variables of a pre-seed template; each is available by its field's name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Variables {
    /// The machine's identifier.
    pub system_id: String,
    /// The host name without the domain.
    pub hostname: String,
    /// The host name with the domain.
    pub fqdn: String,
    /// The operating system that is installed.
    pub osystem: String,
    /// Its series.
    pub release: String,
    /// The Debian architecture.
    pub arch: String,
    /// The sub-architecture.
    pub subarch: String,
    /// The kernel that is asked for; may be empty.
    pub hwe_kernel: String,
    /// The rack's address.
    pub rack_host: String,
    /// The rack's base URL, without a slash at the end.
    pub rack_url: String,
    /// The metadata service's URL.
    pub metadata_url: String,
    /// The owner's name.
    pub owner: String,
    /// The resource pool's name.
    pub pool: String,
    /// The zone's name.
    pub zone: String,
    /// The names of its tags.
    pub tags: BTreeSet<String>,
    /// The owner's key-value data.
    pub owner_data: BTreeMap<String, String>,
}

/// Why a template cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template {template}, line {}: {problem}", line.map_or_else(|| "?".to_owned(), |line| line.to_string()))]
pub struct TemplateError {
    /// The template's name.
    pub template: String,
    /// The line, from 1, when it is known.
    pub line: Option<usize>,
    /// The variable that does not exist, when that is the reason.
    pub variable: Option<String>,
    /// What is wrong.
    pub problem: String,
}

/// Fills a template in.
///
/// # Errors
///
/// [`TemplateError`] for a syntax error, a variable that does not exist, or a template that does
/// not end.
pub fn render(name: &str, text: &str, variables: &Variables) -> Result<String, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    if let Ok(syntax) =
        SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).build()
    {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    let failed = |error: &minijinja::Error| {
        let line = error.line();
        let variable = (error.kind() == ErrorKind::UndefinedError)
            .then(|| {
                let source = error
                    .range()
                    .and_then(|range| text.get(range))
                    .map(|name| name.trim_matches(|c: char| "{} -".contains(c)).to_owned());
                source.filter(|name| !name.is_empty())
            })
            .flatten();
        let problem = match &variable {
            Some(variable) => format!("there is no variable {variable:?}"),
            None => match error.detail() {
                Some(detail) => format!("{}: {detail}", error.kind()),
                None => error.kind().to_string(),
            },
        };
        TemplateError { template: name.to_owned(), line, variable, problem }
    };
    environment.add_template(name, text).map_err(|error| failed(&error))?;
    let template = environment.get_template(name).map_err(|error| failed(&error))?;
    template.render(Serde(variables)).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn variables() -> Variables {
        Variables {
            hostname: "node1".into(),
            tags: BTreeSet::from(["gpu".to_owned()]),
            ..Default::default()
        }
    }

    #[test]
    fn variables_are_filled_in() {
        let text = "a: {{ hostname }}\n{% if 'gpu' in tags %}b: 1\n{% endif %}";
        assert_eq!(render("t", text, &variables()).unwrap(), "a: node1\nb: 1\n");
    }

    #[test]
    fn a_variable_that_does_not_exist_is_named_with_its_line() {
        let error =
            render("curtin_userdata", "a: 1\nb: {{ hostnam }}\n", &variables()).unwrap_err();
        assert_eq!(error.line, Some(2));
        assert_eq!(error.variable.as_deref(), Some("hostnam"));
        assert_eq!(
            error.to_string(),
            "template curtin_userdata, line 2: there is no variable \"hostnam\""
        );
    }

    #[test]
    fn a_syntax_error_has_its_line() {
        let error = render("t", "a\n{% if %}\n", &variables()).unwrap_err();
        assert_eq!(error.line, Some(2));
    }

    #[test]
    fn a_template_that_does_not_end_is_stopped() {
        let text = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(render("t", text, &variables()).is_err());
    }

    proptest! {
        #[test]
        fn rendering_never_panics(text in "\\PC{0,40}|(\\{\\{|\\{%|%\\}|\\}\\}| hostname |if|for| in ){0,10}") {
            let _ = render("t", &text, &variables());
        }
    }
}
