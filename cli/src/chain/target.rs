//! Where contracts are deployed and called.

use tensorseal_verifier_contract::{
    chain::{Chain, ChainError, Deployed, create2, format_address, parse_address},
    evm::{EmbeddedEvm, EvmError, GasReport},
    registry::{self, Ask, Compiled, encode_register, through_registry},
    revert::Refusal,
};

use super::{
    Deployment, Registration, Sent, Step,
    account::{PRIVATE_KEY_VARIABLE, account},
    calldata,
    model::Contracts,
};
use crate::{
    CliError, Result, args,
    pipeline::{Proof, Vk},
};

/// What the contract said of a proof.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// It accepted.
    pub accepted: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Gas of the transaction, where it was sent, or estimated.
    pub gas: Option<u64>,
    /// What the call costs, part by part, where the embedded EVM ran it.
    pub cost: Option<GasReport>,
    /// Hash of the transaction, where one was sent to a chain.
    pub transaction: Option<String>,
    /// Length of the calldata.
    pub calldata_bytes: usize,
}

/// What should stand on the chain.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Registered with this metadata URI.
    pub registered: Option<String>,
    /// Created plainly, where the chain lacks the deployment proxy.
    pub plain: bool,
    /// What stands there already, as a file says; it is used where the chain says so too.
    pub known: Option<Deployment>,
}

/// What a step of a deployment would do.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The step.
    pub step: Step,
    /// Where its contract is or would be, where that is known before.
    pub address: Option<String>,
    /// Its outcome is there already.
    pub done: bool,
    /// Estimated gas; none where there is nothing to do, or the steps before it come first.
    pub gas: Option<u64>,
}

/// Where contracts are deployed and called.
#[derive(Debug)]
pub enum Target {
    /// In this process.
    Embedded(Box<EmbeddedEvm>),
    /// On a chain.
    Rpc(Box<Chain>),
}

impl Target {
    /// The embedded EVM.
    pub fn embedded() -> Self {
        Self::Embedded(Box::default())
    }

    /// The chain that the flags name. Without an account it can be asked, not changed.
    pub fn open(flags: &args::Chain) -> Result<Self> {
        let Some(url) = &flags.rpc_url else {
            return Ok(Self::embedded());
        };
        let mut chain = Chain::connect(url, account(flags)?)
            .map_err(chain_error)?
            .with_confirmations(flags.confirmations);
        if let Some(price) = flags.max_fee {
            chain = chain.with_max_fee(price);
        }
        if let Some(id) = flags.chain_id {
            chain.require_id(id).map_err(chain_error)?;
        }
        Ok(Self::Rpc(Box::new(chain)))
    }

    /// Its name, for reports.
    pub fn name(&self) -> String {
        match self {
            Self::Embedded(_) => "embedded EVM".into(),
            Self::Rpc(chain) => format!("{} (id {})", chain.endpoint(), chain.chain_id()),
        }
    }

    /// The chain's id; none for the embedded EVM.
    pub fn chain_id(&self) -> Option<u64> {
        match self {
            Self::Embedded(_) => None,
            Self::Rpc(chain) => Some(chain.chain_id()),
        }
    }

    /// Deploys what is missing of the profile's verifier and the model's key, and registers the model where that is
    /// wanted.
    pub fn deploy(&mut self, vk: &Vk, wanted: &Wanted) -> Result<Deployment> {
        let contracts = Contracts::of(vk)?;
        let mut sent = Vec::new();
        let mut place = |target: &mut Self, contract: &Contract| {
            let (address, step) = target.place(contract, wanted)?;
            sent.extend(step);
            Ok(address)
        };
        let verifier = place(self, &Contract::verifier(&contracts))?;
        let key = place(self, &Contract::key(&contracts))?;
        let registration = match &wanted.registered {
            None => None,
            Some(uri) => {
                let registry = place(self, &Contract::registry(&registry::contract()))?;
                let id = contracts.id(uri);
                sent.extend(self.register(registry, verifier, key, id, uri)?);
                Some(Registration {
                    registry: format_address(registry),
                    id: hex::encode(id),
                    metadata_uri: uri.clone(),
                })
            }
        };
        Ok(Deployment {
            statement_id: vk.statement_id().to_string(),
            chain_id: self.chain_id(),
            verifier: format_address(verifier),
            verifier_bytes: contracts.verifier.runtime_bytes,
            key: format_address(key),
            registration,
            sent: carried_over(wanted, sent),
        })
    }

    /// Makes sure that a contract is there: its address, and what was sent.
    fn place(&mut self, contract: &Contract, wanted: &Wanted) -> Result<([u8; 20], Option<Sent>)> {
        let (address, gas, receipt) = match self {
            Self::Embedded(evm) => {
                let deployed = evm
                    .deploy(&contract.initcode)
                    .map_err(|why| CliError::input("deploying to the embedded EVM", why))?;
                (deployed.address, deployed.gas, None)
            }
            Self::Rpc(chain) => {
                if let Some(address) = contract.found(chain, wanted)? {
                    return Ok((address, None));
                }
                let deployed = if wanted.plain {
                    chain.deploy_plainly(&contract.initcode, &contract.code)
                } else {
                    chain.deploy(&contract.initcode, &contract.code)
                };
                let Deployed { address, receipt } = deployed.map_err(sending_error)?;
                let gas = receipt.as_ref().map_or(0, |receipt| receipt.gas);
                (address, gas, receipt)
            }
        };
        let what = contract.step;
        Ok((address, Some(Sent { what, gas, receipt })))
    }

    /// Registers a model, where it is not registered.
    fn register(
        &mut self,
        registry: [u8; 20],
        verifier: [u8; 20],
        key: [u8; 20],
        id: [u8; 32],
        uri: &str,
    ) -> Result<Option<Sent>> {
        let calldata = encode_register(verifier, key, uri);
        let (gas, receipt) = match self {
            Self::Embedded(evm) => {
                let sent = evm
                    .send(registry, &calldata)
                    .map_err(|why| CliError::input("registering in the embedded EVM", why))?;
                (sent.gas, None)
            }
            Self::Rpc(chain) => {
                if is_registered(chain, registry, id)? {
                    return Ok(None);
                }
                let receipt = chain.send(registry, &calldata).map_err(sending_error)?;
                if !is_registered(chain, registry, id)? {
                    return Err(CliError::System(format!(
                        "the chain: transaction {} was mined, and the registry does not know the model; the endpoint does not tell the truth, or the chain has been reorganized",
                        receipt.transaction
                    )));
                }
                (receipt.gas, Some(receipt))
            }
        };
        let what = Step::Register;
        Ok(Some(Sent { what, gas, receipt }))
    }

    /// What [`deploy`](Self::deploy) would do on a chain.
    pub fn plan(&mut self, vk: &Vk, wanted: &Wanted) -> Result<Vec<Planned>> {
        let Self::Rpc(chain) = self else {
            return Ok(vec![]);
        };
        let contracts = Contracts::of(vk)?;
        let mut steps = Vec::new();
        let mut addresses = Vec::new();
        let mut all = vec![Contract::verifier(&contracts), Contract::key(&contracts)];
        if wanted.registered.is_some() {
            all.push(Contract::registry(&registry::contract()));
        }
        for contract in all {
            let found = contract.found(chain, wanted)?;
            let gas = match found {
                Some(_) => None,
                None => Some(
                    chain
                        .estimate_deploy(&contract.initcode, wanted.plain)
                        .map_err(chain_error)?
                        .gas,
                ),
            };
            let predicted = (!wanted.plain).then(|| create2::address(&contract.initcode));
            steps.push(Planned {
                step: contract.step,
                address: found.or(predicted).map(format_address),
                done: found.is_some(),
                gas,
            });
            addresses.extend(found);
        }
        if let Some(uri) = &wanted.registered {
            let (mut done, mut gas) = (false, None);
            if let [verifier, key, registry] = addresses[..] {
                done = is_registered(chain, registry, contracts.id(uri))?;
                if !done {
                    let calldata = encode_register(verifier, key, uri);
                    let estimate = chain.estimate(registry, &calldata).map_err(chain_error)?;
                    gas = Some(estimate.gas);
                }
            }
            steps.push(Planned {
                step: Step::Register,
                address: None,
                done,
                gas,
            });
        }
        Ok(steps)
    }

    /// What would stand where after [`deploy`](Self::deploy) through the deployment proxy.
    pub fn predicted(&self, vk: &Vk, wanted: &Wanted) -> Result<Deployment> {
        let contracts = Contracts::of(vk)?;
        let at = |contract: &Contract| format_address(create2::address(&contract.initcode));
        Ok(Deployment {
            statement_id: vk.statement_id().to_string(),
            chain_id: self.chain_id(),
            verifier: at(&Contract::verifier(&contracts)),
            verifier_bytes: contracts.verifier.runtime_bytes,
            key: at(&Contract::key(&contracts)),
            registration: wanted.registered.as_ref().map(|uri| Registration {
                registry: at(&Contract::registry(&registry::contract())),
                id: hex::encode(contracts.id(uri)),
                metadata_uri: uri.clone(),
            }),
            sent: vec![],
        })
    }

    /// Asks the verifier about a proof, or several in a batch, or the registry where the model is registered; with an account on a chain in a
    /// transaction, unless `dry`.
    pub fn verify(
        &mut self,
        vk: &Vk,
        deployment: &Deployment,
        proofs: &[Proof],
        dry: bool,
    ) -> Result<Verdict> {
        let contracts = Contracts::of(vk)?;
        let verifier = parse_address(&deployment.verifier).map_err(chain_error)?;
        let key = parse_address(&deployment.key).map_err(chain_error)?;
        let direct = calldata(vk, key, proofs)?;
        let calldata_bytes = direct.len();
        let (to, asked, sent) = match &deployment.registration {
            None => (verifier, direct.clone(), direct),
            Some(entry) => {
                let id = contracts.id(&entry.metadata_uri);
                if hex::encode(id) != entry.id {
                    return Err(CliError::Input(format!(
                        "the deployment registers model {}, and this key's is {}; give the deployment of this model",
                        entry.id,
                        hex::encode(id)
                    )));
                }
                let registry = parse_address(&entry.registry).map_err(chain_error)?;
                let (asked, sent) = match proofs {
                    [_] => (Ask::View, Ask::Log),
                    _ => (Ask::Batch, Ask::Batch),
                };
                (
                    registry,
                    through_registry(&direct, id, asked),
                    through_registry(&direct, id, sent),
                )
            }
        };
        let (mut transaction, mut cost) = (None, None);
        let (gas, reason) = match self {
            Self::Embedded(evm) => match evm.verify(to, &asked) {
                Ok(report) => {
                    cost = Some(report);
                    (Some(report.transaction), None)
                }
                Err(EvmError::Refused(reason)) => (None, Some(reason)),
                Err(why) => return Err(CliError::input("calling the contract", why)),
            },
            Self::Rpc(chain) => {
                check_contracts(chain, deployment, &contracts)?;
                let answer = match chain.verify(to, &asked) {
                    Err(why) => Err(why),
                    Ok(()) if dry => chain.estimate(to, &sent).map(|e| Some(e.gas)),
                    Ok(()) if chain.account().is_none() => Ok(None),
                    Ok(()) => chain.send(to, &sent).map(|receipt| {
                        transaction = Some(receipt.transaction);
                        Some(receipt.gas)
                    }),
                };
                match answer {
                    Ok(gas) => (gas, None),
                    Err(ChainError::Refused(reason @ Refusal::UnknownModel { .. })) => {
                        return Err(CliError::input("the registry", reason));
                    }
                    Err(ChainError::Refused(reason)) => (None, Some(reason)),
                    Err(why) => return Err(sending_error(why)),
                }
            }
        };
        let reason = reason.map(|reason| reason.to_string());
        Ok(Verdict {
            accepted: reason.is_none(),
            reason,
            gas,
            cost,
            transaction,
            calldata_bytes,
        })
    }
}

/// A contract to deploy.
struct Contract {
    step: Step,
    initcode: Vec<u8>,
    code: Vec<u8>,
}

impl Contract {
    fn verifier(contracts: &Contracts) -> Self {
        Self {
            step: Step::Verifier,
            initcode: contracts.verifier.bytecode.clone(),
            code: contracts.verifier.code().to_vec(),
        }
    }

    fn key(contracts: &Contracts) -> Self {
        Self {
            step: Step::Key,
            initcode: contracts.key.to_initcode(),
            code: contracts.key.to_code(),
        }
    }

    fn registry(compiled: &Compiled) -> Self {
        Self {
            step: Step::Registry,
            initcode: compiled.initcode(),
            code: compiled.code(),
        }
    }

    /// Where it stands already: at its deterministic address, or where the wanted deployment's file says.
    fn found(&self, chain: &Chain, wanted: &Wanted) -> Result<Option<[u8; 20]>> {
        let known = wanted
            .known
            .as_ref()
            .filter(|known| known.chain_id == Some(chain.chain_id()))
            .and_then(|known| match self.step {
                Step::Verifier => Some(&known.verifier),
                Step::Key => Some(&known.key),
                _ => known.registration.as_ref().map(|entry| &entry.registry),
            });
        let known = known.map(|text| parse_address(text)).transpose();
        let known = known.map_err(chain_error)?;
        for address in known.into_iter().chain([create2::address(&self.initcode)]) {
            if chain.code(address).map_err(chain_error)? == self.code {
                return Ok(Some(address));
            }
        }
        Ok(None)
    }
}

/// Receipts of the known deployment on the same chain, then the new ones.
fn carried_over(wanted: &Wanted, sent: Vec<Sent>) -> Vec<Sent> {
    let known = wanted.known.as_ref().map(|known| known.sent.clone());
    [known.unwrap_or_default(), sent].concat()
}

fn is_registered(chain: &Chain, registry: [u8; 20], id: [u8; 32]) -> Result<bool> {
    match chain.call(registry, &registry::encode_model(id)) {
        Ok(_) => Ok(true),
        Err(ChainError::Refused(Refusal::UnknownModel { .. })) => Ok(false),
        Err(why) => Err(chain_error(why)),
    }
}

/// The contracts must be the ones embedded here, and a verifier accepts proofs for whatever key it is pointed at: that
/// must be this model's.
fn check_contracts(
    chain: &mut Chain,
    deployment: &Deployment,
    contracts: &Contracts,
) -> Result<()> {
    if let Some(expected) = deployment.chain_id {
        chain.require_id(expected).map_err(chain_error)?;
    }
    let check = |text: &str, code: &[u8], what: &str| {
        let address = parse_address(text).map_err(chain_error)?;
        match chain.require_code(address, code) {
            Err(ChainError::NoCode { .. } | ChainError::OtherCode { .. }) => {
                Err(CliError::Input(format!(
                    "the contract at {text} is not {what}; deploy it, or give the deployment of this model"
                )))
            }
            checked => checked.map_err(chain_error),
        }
    };
    let profile = contracts.verifier.profile;
    check(
        &deployment.verifier,
        contracts.verifier.code(),
        &format!("the verifier of profile {profile}"),
    )?;
    check(
        &deployment.key,
        &contracts.key.to_code(),
        "this model's key",
    )?;
    match &deployment.registration {
        Some(entry) => check(
            &entry.registry,
            &registry::contract().code(),
            "a model registry",
        ),
        None => Ok(()),
    }
}

/// An endpoint that fails is the surroundings' fault, what was asked of it the user's.
pub(super) fn chain_error(why: ChainError) -> CliError {
    match why {
        ChainError::Unreachable { .. }
        | ChainError::Reply { .. }
        | ChainError::OtherCode { .. }
        | ChainError::GasTooHigh { .. }
        | ChainError::Rpc { .. }
        | ChainError::Failed { .. }
        | ChainError::NotMined { .. }
        | ChainError::Runtime { .. } => CliError::system("the chain", why),
        _ => CliError::input("the chain", why),
    }
}

/// [`chain_error`] where a transaction must be signed.
fn sending_error(why: ChainError) -> CliError {
    match why {
        ChainError::NoAccount => CliError::Input(format!(
            "a transaction needs an account: pass --keystore or --private-key-file, or set {PRIVATE_KEY_VARIABLE}"
        )),
        ChainError::NoProxy { .. } => CliError::Input(format!("the chain: {why}: --plain-create")),
        ChainError::UnconfirmedChain { found, .. } => {
            CliError::Input(format!("the chain: {why}: --chain-id {found}"))
        }
        ChainError::FeeTooHigh { asked, .. } => {
            CliError::Input(format!("the chain: {why}: --max-fee {asked}"))
        }
        why => chain_error(why),
    }
}
