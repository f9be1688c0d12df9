//! Contracts of the tests' own, around libraries.

use std::fs;

use tensorseal_verifier_contract::profiles::Artifact;

use crate::{case::crate_dir, generated::solc};

/// A contract whose source and compiled code stand in a folder of the tests.
pub(crate) struct Source {
    pub(crate) folder: &'static str,
    pub(crate) contract: &'static str,
}

impl Source {
    /// What the pinned solc makes of it.
    pub(crate) fn compile(&self) -> Artifact {
        let file = format!("{}/{}.sol", self.folder, self.contract);
        let compiled = solc(&crate_dir(), std::slice::from_ref(&file));
        let contract = &compiled[format!("{file}:{}", self.contract)];
        Artifact {
            contract: self.contract.into(),
            id: String::new(),
            solc: contract["solc"].as_str().unwrap().to_owned(),
            runtime_bytes: contract["runtime_bytes"].as_u64().unwrap() as usize,
            bytecode: contract["bytecode"].as_str().unwrap().to_owned(),
        }
    }

    /// What is committed.
    pub(crate) fn committed(&self) -> Artifact {
        let path = crate_dir().join(format!("{}/{}.json", self.folder, self.contract));
        let text = fs::read_to_string(path);
        serde_json::from_str(&text.expect("TENSORSEAL_REGENERATE=1 writes it")).unwrap()
    }

    /// Writes the compiled code.
    pub(crate) fn regenerate(&self) {
        let path = crate_dir().join(format!("{}/{}.json", self.folder, self.contract));
        let text = serde_json::to_string_pretty(&self.compile()).unwrap() + "\n";
        fs::write(path, text).unwrap();
    }
}
