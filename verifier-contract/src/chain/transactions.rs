//! Transactions: estimated, signed once, sent, waited for.

use std::time::{Duration, Instant};

use alloy::{
    eips::eip2718::Encodable2718,
    network::{NetworkTransactionBuilder, TransactionBuilder},
    primitives::{Address, Bytes, TxHash},
    providers::{Provider, utils::Eip1559Estimator},
    rpc::types::TransactionRequest,
};
use serde::{Deserialize, Serialize};

use super::{Chain, ChainError, call, create2, fees, format_address};

/// How long a sent transaction may take to be mined, and each further block that it waits for.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(180);
const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause before the first look for a receipt, and the longest; it doubles from one to the next.
const RECEIPT_PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(4)];

/// What a transaction would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// What the call returns.
    pub output: Vec<u8>,
    /// Gas that the whole transaction would take, as the node estimates it.
    pub gas: u64,
    /// Price of gas now, in wei; no more than fits.
    pub gas_price: u64,
}

/// A mined transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its hash.
    pub transaction: String,
    /// Its block.
    pub block: u64,
    /// Who sent it.
    pub from: String,
    /// Gas it used, calldata included.
    pub gas: u64,
    /// What a unit of gas cost, in wei; no more than fits.
    pub gas_price: u64,
    /// The contract it created, where it is no call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
}

/// A contract on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Its address.
    pub address: [u8; 20],
    /// The deploying transaction; none where the contract was there already.
    pub receipt: Option<Receipt>,
}

impl Chain {
    /// What a call would do as a transaction, which is not sent (`eth_call`, `eth_estimateGas`).
    ///
    /// # Errors
    /// [`ChainError::Refused`] with the contract's reason, or what the endpoint answered.
    pub fn estimate(&self, to: [u8; 20], calldata: &[u8]) -> Result<Estimate, ChainError> {
        self.estimate_request(&self.with_account(call(to, calldata)))
    }

    /// The same for a contract's creation: through the deployment proxy, or plainly.
    ///
    /// # Errors
    /// As for [`estimate`](Self::estimate), and [`ChainError::NoProxy`].
    pub fn estimate_deploy(&self, initcode: &[u8], plain: bool) -> Result<Estimate, ChainError> {
        if plain {
            return self.estimate_request(&self.with_account(creation(initcode)));
        }
        self.require_proxy()?;
        self.estimate(create2::PROXY, &create2::calldata(initcode))
    }

    fn estimate_request(&self, request: &TransactionRequest) -> Result<Estimate, ChainError> {
        let output = self.request(|p| p.call(request.clone()))?;
        Ok(Estimate {
            output: output.to_vec(),
            gas: fees::check_gas(self.request(|p| p.estimate_gas(request.clone()))?)?,
            gas_price: saturating(self.request(|p| p.get_gas_price())?),
        })
    }

    /// Sends a call as a transaction and waits for it.
    ///
    /// # Errors
    /// [`ChainError`] where there is no account, nobody has confirmed the chain ([`require_id`](Self::require_id)), gas or
    /// fees are above their limits, or the transaction would fail or does.
    pub fn send(&self, to: [u8; 20], calldata: &[u8]) -> Result<Receipt, ChainError> {
        self.send_request(call(to, calldata))
    }

    /// Deploys a contract at [`create2::address`], where it is not there already. Its code there is then `code`.
    ///
    /// # Errors
    /// [`ChainError::NoProxy`] on a chain without the deployment proxy, [`ChainError::OtherCode`]; else as for
    /// [`send`](Self::send).
    pub fn deploy(&self, initcode: &[u8], code: &[u8]) -> Result<Deployed, ChainError> {
        let address = create2::address(initcode);
        if !self.code(address)?.is_empty() {
            self.require_code(address, code)?;
            return Ok(Deployed {
                address,
                receipt: None,
            });
        }
        self.require_proxy()?;
        let receipt = self.send(create2::PROXY, &create2::calldata(initcode))?;
        self.deployed(address, code, receipt)
    }

    /// Deploys a contract by a plain creating transaction, at an address that depends on the account.
    ///
    /// # Errors
    /// [`ChainError::OtherCode`]; else as for [`send`](Self::send).
    pub fn deploy_plainly(&self, initcode: &[u8], code: &[u8]) -> Result<Deployed, ChainError> {
        let receipt = self.send_request(creation(initcode))?;
        let created = receipt.created.as_deref().map(super::parse_address);
        let address = created
            .transpose()?
            .ok_or_else(|| self.bad_content("the receipt names no created contract".to_owned()))?;
        self.deployed(address, code, receipt)
    }

    fn deployed(
        &self,
        address: [u8; 20],
        code: &[u8],
        receipt: Receipt,
    ) -> Result<Deployed, ChainError> {
        self.require_code(address, code)?;
        Ok(Deployed {
            address,
            receipt: Some(receipt),
        })
    }

    /// Makes sure that a contract's code is what it should be. A proxy has its own, and so has an account that delegates
    /// to a contract (EIP-7702).
    ///
    /// # Errors
    /// [`ChainError::NoCode`] and [`ChainError::OtherCode`].
    pub fn require_code(&self, address: [u8; 20], code: &[u8]) -> Result<(), ChainError> {
        let found = self.code(address)?;
        if found == code {
            return Ok(());
        }
        let address = format_address(address);
        Err(match found.is_empty() {
            true => ChainError::NoCode { address },
            false => ChainError::OtherCode { address },
        })
    }

    fn require_proxy(&self) -> Result<(), ChainError> {
        if self.code(create2::PROXY)?.is_empty() {
            return Err(ChainError::NoProxy {
                address: format_address(create2::PROXY),
                chain_id: self.chain_id,
            });
        }
        Ok(())
    }

    fn send_request(&self, request: TransactionRequest) -> Result<Receipt, ChainError> {
        let account = self.account.as_ref().ok_or(ChainError::NoAccount)?;
        if !self.confirmed {
            return Err(ChainError::UnconfirmedChain {
                endpoint: self.endpoint.clone(),
                found: self.chain_id,
            });
        }
        let from = Address::from(account.address());
        let mut request = request.with_from(from).with_chain_id(self.chain_id);
        let gas_limit = fees::gas_limit(self.request(|p| p.estimate_gas(request.clone()))?)?;
        request.set_gas_limit(gas_limit);
        let nonce = self.request(|p| p.get_transaction_count(from).pending())?;
        request.set_nonce(nonce);
        self.set_fees(&mut request)?;
        let signed = self
            .runtime
            .block_on(request.build(&account.wallet()))
            .map_err(|e| self.bad_content(format!("no transaction can be made of it: {e}")))?;
        let (hash, bytes) = (*signed.tx_hash(), signed.encoded_2718());
        let sent = self.request(|p| {
            let bytes = bytes.clone();
            async move { p.send_raw_transaction(&bytes).await.map(drop) }
        });
        if let Err(why) = sent {
            // An attempt whose answer was lost has arrived all the same, and the next was refused as known.
            let known = self.request(|p| p.get_transaction_by_hash(hash))?;
            known.ok_or(why)?;
        }
        self.receipt(hash, gas_limit)
    }

    fn set_fees(&self, request: &mut TransactionRequest) -> Result<(), ChainError> {
        let latest = self.request(|p| p.get_block(Default::default()))?;
        if latest.is_some_and(|block| block.header.base_fee_per_gas.is_some()) {
            let estimator = Eip1559Estimator::new(fees::estimate);
            let fees = self.request(|p| {
                let estimator = estimator.clone();
                async move { p.estimate_eip1559_fees_with(estimator).await }
            })?;
            let max_fee = fees::check_price(fees.max_fee_per_gas, self.max_fee)?;
            request.set_max_fee_per_gas(max_fee);
            request.set_max_priority_fee_per_gas(fees.max_priority_fee_per_gas);
        } else {
            let price = self.request(|p| p.get_gas_price())?;
            request.set_gas_price(fees::check_price(price, self.max_fee)?);
        }
        Ok(())
    }

    /// The receipt of a transaction, once its block and the blocks above it are as many as confirm it. It is asked for anew
    /// each time, so one that a reorganization has taken back does not count.
    fn receipt(&self, hash: TxHash, gas_limit: u64) -> Result<Receipt, ChainError> {
        let start = Instant::now();
        let timeout = RECEIPT_TIMEOUT + BLOCK_TIMEOUT * (self.confirmations.get() - 1);
        let [mut pause, longest] = RECEIPT_PAUSES;
        let receipt = loop {
            if let Some(receipt) = self.request(|p| p.get_transaction_receipt(hash))?
                && self.is_confirmed(receipt.block_number)?
            {
                break receipt;
            }
            if start.elapsed() > timeout {
                return Err(ChainError::NotMined {
                    hash: hash.to_string(),
                    seconds: timeout.as_secs(),
                });
            }
            std::thread::sleep(pause);
            pause = longest.min(2 * pause);
        };
        if receipt.transaction_hash != hash || receipt.gas_used > gas_limit {
            return Err(self.bad_content("a receipt that is not the transaction's".to_owned()));
        }
        if !receipt.status() {
            return Err(ChainError::Failed {
                hash: hash.to_string(),
                gas: receipt.gas_used,
            });
        }
        Ok(Receipt {
            transaction: hash.to_string(),
            block: receipt.block_number.unwrap_or_default(),
            from: format_address(receipt.from.into_array()),
            gas: receipt.gas_used,
            gas_price: saturating(receipt.effective_gas_price),
            created: receipt
                .contract_address
                .map(|a| format_address(a.into_array())),
        })
    }

    /// Whether enough blocks stand on a block, itself counted.
    fn is_confirmed(&self, block: Option<u64>) -> Result<bool, ChainError> {
        let further = u64::from(self.confirmations.get()) - 1;
        if further == 0 {
            return Ok(true);
        }
        let latest = self.request(|p| p.get_block_number())?;
        Ok(block.is_some_and(|block| latest.saturating_sub(block) >= further))
    }
}

/// A price that JSON numbers hold.
fn saturating(wei: u128) -> u64 {
    u64::try_from(wei).unwrap_or(u64::MAX)
}

fn creation(initcode: &[u8]) -> TransactionRequest {
    TransactionRequest::default().with_deploy_code(Bytes::copy_from_slice(initcode))
}
