//! A model that is registered in the embedded EVM.

use tensorseal_verifier_contract::{
    evm::EvmError,
    registry::{self, Ask, encode_register, through_registry},
    revert::Refusal,
};

use crate::case::Case;

/// The metadata URI of the case's model.
pub(crate) const URI: &str = "ipfs://model";

/// A case with a registry in its EVM, and the model registered in it.
pub(crate) struct Registered {
    pub(crate) case: Case,
    pub(crate) registry: [u8; 20],
    pub(crate) id: [u8; 32],
}

impl Registered {
    pub(crate) fn new(mut case: Case) -> Self {
        let initcode = registry::contract().initcode();
        let deployed = case.evm.deploy(&initcode).unwrap();
        assert_eq!(deployed.code_bytes, registry::contract().runtime_bytes);
        let mut registered = Self {
            case,
            registry: deployed.address,
            id: [0; 32],
        };
        registered.id = registered
            .register(registered.case.registered.address, URI)
            .unwrap();
        registered
    }

    /// Registers a key of the case's profile; the model's id.
    pub(crate) fn register(&mut self, key: [u8; 20], uri: &str) -> Result<[u8; 32], Refusal> {
        let calldata = encode_register(self.case.verifier.address, key, uri);
        let output = self.send(&calldata)?;
        Ok(output.try_into().unwrap())
    }

    /// What the registry returns to a call that may change it.
    pub(crate) fn send(&mut self, calldata: &[u8]) -> Result<Vec<u8>, Refusal> {
        match self.case.evm.send(self.registry, calldata) {
            Ok(sent) => Ok(sent.output),
            Err(EvmError::Refused(refusal)) => Err(refusal),
            Err(other) => panic!("{other}"),
        }
    }

    /// What the registry's view says.
    pub(crate) fn verify(&mut self, id: [u8; 32], calldata: &[u8]) -> Result<(), Refusal> {
        let calldata = through_registry(calldata, id, Ask::View);
        match self.case.evm.verify(self.registry, &calldata) {
            Ok(_) => Ok(()),
            Err(EvmError::Refused(refusal)) => Err(refusal),
            Err(other) => panic!("{other}"),
        }
    }
}
