//! A compiled model: what a `.seal` file holds.

use serde::{Deserialize, Serialize};

use crate::layout::{Layout, LayoutError, Optimize, Visibility, choose, plan};
use crate::model::Model;
use crate::profile::{ALL, Profile};
use crate::validate::{ModelError, validate};

/// Model, profile and visibility; they decide the circuit and with it the keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompiledModel {
    /// The integer model.
    pub model: Model,
    /// The constraint system.
    pub profile: Profile,
    /// What is public.
    pub visibility: Visibility,
}

/// Why bytes are no compiled model.
#[derive(Debug, thiserror::Error)]
pub enum CompiledError {
    /// Not the encoding.
    #[error("the compiled model cannot be decoded ({0}); compile it again")]
    Decode(#[from] postcard::Error),
    /// Bytes that decode, but are not those that the model is written as.
    #[error("the compiled model is not in its one encoding; compile it again")]
    NotCanonical,
    /// Decoded, but inconsistent.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A profile that this version does not have.
    #[error(
        "the compiled model uses profile {profile}, which this version does not have; compile it again"
    )]
    Profile {
        /// Its name.
        profile: String,
    },
}

impl CompiledModel {
    /// Chooses the profile for `goal`; returns the layout with it.
    ///
    /// # Errors
    /// [`LayoutError`] where no profile can hold the model.
    pub fn compile(
        model: Model,
        goal: Optimize,
        visibility: Visibility,
    ) -> Result<(Self, Layout), LayoutError> {
        let layout = choose(&model, goal, visibility)?;
        Ok((
            CompiledModel {
                model,
                profile: layout.profile,
                visibility,
            },
            layout,
        ))
    }

    /// Plans the layout again; it is the same each time.
    ///
    /// # Errors
    /// [`LayoutError`] where the profile cannot hold the model.
    pub fn layout(&self) -> Result<Layout, LayoutError> {
        plan(&self.model, self.profile, self.visibility)
    }

    /// Payload of a model file.
    ///
    /// # Errors
    /// Only where memory is exhausted.
    pub fn to_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(self)
    }

    /// The inverse of [`CompiledModel::to_bytes`], for untrusted bytes: a model has one encoding, and no other is read.
    ///
    /// # Errors
    /// [`CompiledError`] names what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CompiledError> {
        let compiled: Self = postcard::from_bytes(bytes)?;
        // The decoder takes over-long integers and whatever follows the last one.
        if compiled.to_bytes()? != bytes {
            return Err(CompiledError::NotCanonical);
        }
        validate(&compiled.model)?;
        if !ALL.contains(&compiled.profile) {
            return Err(CompiledError::Profile {
                profile: compiled.profile.name(),
            });
        }
        Ok(compiled)
    }
}
