//! One page about all of it for whoever is on call: figures, and what of them needs a person.

pub mod figures;
pub mod plan;
pub mod problems;
pub mod words;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::{
    figures::{Asked, Figures},
    problems::Need,
};
use crate::{domain::text::format::rfc3339, store::StoreError};

/// The page as programs read it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// When it was made.
    pub at: String,
    /// Whether nothing needs a person.
    pub ok: bool,
    /// What does, most urgent first.
    pub problems: Vec<Need>,
    /// All that is shown.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The page as of now.
///
/// # Errors
/// The database cannot be read.
pub async fn report(asked: &Asked<'_>) -> Result<Report, StoreError> {
    let figures = Figures::read(asked).await?;
    let problems = problems::of(&figures, asked.now);
    Ok(Report { at: rfc3339(asked.now), ok: problems.is_empty(), problems, figures })
}
