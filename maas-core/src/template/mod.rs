//! Pre-seed templates: which one applies to a machine, and how it is filled in.
//!
//! Templates are Jinja (minijinja). Every variable is listed in [`Variables`]; a variable that
//! does not exist is an error that names the template, the line and the variable, never an empty
//! text.

mod lookup;
mod render;

pub use lookup::{Library, candidates};
pub use render::{TemplateError, Variables, render};
