//! Transactions: estimated, signed once, sent, waited for.

use std::time::{Duration, Instant};

use alloy::{
    eips::eip2718::Encodable2718,
    network::{NetworkTransactionBuilder, TransactionBuilder},
    primitives::{Address, Bytes},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use serde::{Deserialize, Serialize};

use super::{Chain, ChainError, call, create2, format_address};

/// How long a sent transaction may take to be mined.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(180);
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
    /// Length of its code.
    pub code_bytes: usize,
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
            gas: self.request(|p| p.estimate_gas(request.clone()))?,
            gas_price: saturating(self.request(|p| p.get_gas_price())?),
        })
    }

    /// Sends a call as a transaction and waits for it.
    ///
    /// # Errors
    /// [`ChainError`] where there is no account, or the transaction would fail or does.
    pub fn send(&self, to: [u8; 20], calldata: &[u8]) -> Result<Receipt, ChainError> {
        self.send_request(call(to, calldata))
    }

    /// Deploys a contract at [`create2::address`], where it is not there already.
    ///
    /// # Errors
    /// [`ChainError::NoProxy`] on a chain without the deployment proxy; else as for [`send`](Self::send).
    pub fn deploy(&self, initcode: &[u8]) -> Result<Deployed, ChainError> {
        let address = create2::address(initcode);
        let code_bytes = self.code(address)?.len();
        if code_bytes > 0 {
            // Nothing else can stand there: the address is the hash of this creation code.
            return Ok(Deployed {
                address,
                code_bytes,
                receipt: None,
            });
        }
        self.require_proxy()?;
        let receipt = self.send(create2::PROXY, &create2::calldata(initcode))?;
        self.deployed(address, receipt)
    }

    /// Deploys a contract by a plain creating transaction, at an address that depends on the account.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn deploy_plainly(&self, initcode: &[u8]) -> Result<Deployed, ChainError> {
        let receipt = self.send_request(creation(initcode))?;
        let created = receipt.created.as_deref().map(super::parse_address);
        let address = created.transpose()?.ok_or_else(|| ChainError::Rpc {
            endpoint: self.endpoint.clone(),
            reason: "the receipt names no created contract".to_owned(),
        })?;
        self.deployed(address, receipt)
    }

    fn deployed(&self, address: [u8; 20], receipt: Receipt) -> Result<Deployed, ChainError> {
        let code_bytes = self.code(address)?.len();
        if code_bytes == 0 {
            return Err(ChainError::NoCode {
                address: format_address(address),
            });
        }
        Ok(Deployed {
            address,
            code_bytes,
            receipt: Some(receipt),
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
        let from = Address::from(account.address());
        let mut request = request.with_from(from).with_chain_id(self.chain_id);
        let gas = self.request(|p| p.estimate_gas(request.clone()))?;
        // What the estimate saw may have changed a little when the transaction is mined.
        request.set_gas_limit(gas + gas / 10);
        let nonce = self.request(|p| p.get_transaction_count(from).pending())?;
        request.set_nonce(nonce);
        self.set_fees(&mut request)?;
        let signed = self
            .runtime
            .block_on(request.build(&account.wallet()))
            .map_err(|e| ChainError::Rpc {
                endpoint: self.endpoint.clone(),
                reason: format!("the transaction cannot be signed: {e}"),
            })?;
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
        self.receipt(hash)
    }

    fn set_fees(&self, request: &mut TransactionRequest) -> Result<(), ChainError> {
        let latest = self.request(|p| p.get_block(Default::default()))?;
        if latest.is_some_and(|block| block.header.base_fee_per_gas.is_some()) {
            let fees = self.request(|p| async move { p.estimate_eip1559_fees().await })?;
            request.set_max_fee_per_gas(fees.max_fee_per_gas);
            request.set_max_priority_fee_per_gas(fees.max_priority_fee_per_gas);
        } else {
            request.set_gas_price(self.request(|p| p.get_gas_price())?);
        }
        Ok(())
    }

    fn receipt(&self, hash: alloy::primitives::TxHash) -> Result<Receipt, ChainError> {
        let start = Instant::now();
        let [mut pause, longest] = RECEIPT_PAUSES;
        let receipt = loop {
            if let Some(receipt) = self.request(|p| p.get_transaction_receipt(hash))? {
                break receipt;
            }
            if start.elapsed() > RECEIPT_TIMEOUT {
                return Err(ChainError::NotMined {
                    hash: hash.to_string(),
                    seconds: RECEIPT_TIMEOUT.as_secs(),
                });
            }
            std::thread::sleep(pause);
            pause = longest.min(2 * pause);
        };
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
}

/// A price that JSON numbers hold.
fn saturating(wei: u128) -> u64 {
    u64::try_from(wei).unwrap_or(u64::MAX)
}

fn creation(initcode: &[u8]) -> TransactionRequest {
    TransactionRequest::default().with_deploy_code(Bytes::copy_from_slice(initcode))
}
