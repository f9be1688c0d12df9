//! What a transaction may cost. The endpoint proposes gas and prices; what is above the limits is not signed.

use std::{fmt, str::FromStr};

use alloy::{
    eips::eip1559::Eip1559Estimation,
    primitives::utils::{ParseUnits, Unit},
};

use super::ChainError;
use crate::evm::TRANSACTION_GAS_LIMIT;

/// A price of gas, in wei a unit; written `50gwei`, `0.5gwei` or `1000wei`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GasPrice(pub u128);

/// The highest price that is signed where nobody names another: 50 gwei.
pub const DEFAULT_MAX_FEE: GasPrice = GasPrice(50_000_000_000);

/// Text that is no price of gas.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no price of gas; write a number and its unit, such as 50gwei, 0.5gwei or 1000wei"
)]
pub struct BadGasPrice {
    /// The text.
    pub text: String,
}

impl FromStr for GasPrice {
    type Err = BadGasPrice;

    /// A unit must be there: a bare number would be read as wei by some and as gwei by others.
    fn from_str(text: &str) -> Result<Self, BadGasPrice> {
        let read = || {
            let (number, unit) = match text.strip_suffix("gwei") {
                Some(number) => (number.trim_end(), Unit::GWEI),
                None => (text.strip_suffix("wei")?.trim_end(), Unit::WEI),
            };
            // The library leaves decimals out that a unit does not have.
            let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
            let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
            let places = decimals.trim_end_matches('0').len();
            if !digits(whole) || !digits(decimals) || places > usize::from(unit.get()) {
                return None;
            }
            let wei = ParseUnits::parse_units(number, unit).ok()?.get_absolute();
            wei.try_into().ok().map(Self)
        };
        read().ok_or_else(|| BadGasPrice {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for GasPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = ParseUnits::from(self.0).format_units(Unit::GWEI);
        write!(
            f,
            "{}gwei",
            text.trim_end_matches('0').trim_end_matches('.')
        )
    }
}

/// Refuses gas that no transaction may take (EIP-7825).
pub(super) fn check_gas(gas: u64) -> Result<u64, ChainError> {
    if gas <= TRANSACTION_GAS_LIMIT {
        return Ok(gas);
    }
    Err(ChainError::GasTooHigh {
        gas,
        limit: TRANSACTION_GAS_LIMIT,
    })
}

/// A transaction's gas limit: a tenth above the estimate, as what that saw may have changed a little when it is mined.
pub(super) fn gas_limit(estimate: u64) -> Result<u64, ChainError> {
    let gas = check_gas(estimate)?;
    Ok((gas + gas / 10).min(TRANSACTION_GAS_LIMIT))
}

/// Refuses a price above the limit.
pub(super) fn check_price(asked: u128, allowed: GasPrice) -> Result<u128, ChainError> {
    if asked <= allowed.0 {
        return Ok(asked);
    }
    Err(ChainError::FeeTooHigh {
        asked: GasPrice(asked),
        allowed,
    })
}

/// Fees from the last block's base fee and the tips of some blocks, lowest first in each: the median tip, and twice the base
/// fee with it. Sums beyond 128 bits stay at the largest, which no limit allows.
pub(super) fn estimate(base: u128, tips: &[Vec<u128>]) -> Eip1559Estimation {
    let mut tips: Vec<u128> = tips
        .iter()
        .filter_map(|block| block.first())
        .copied()
        .collect();
    tips.retain(|tip| *tip > 0);
    tips.sort_unstable();
    let tip = tips.get(tips.len() / 2).copied().unwrap_or(1);
    Eip1559Estimation {
        max_fee_per_gas: base.saturating_mul(2).saturating_add(tip),
        max_priority_fee_per_gas: tip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_and_written() {
        for (text, wei, written) in [
            ("50gwei", 50_000_000_000, "50gwei"),
            ("0.5 gwei", 500_000_000, "0.5gwei"),
            ("1000wei", 1000, "0.000001gwei"),
            ("0wei", 0, "0gwei"),
            ("100gwei", 100_000_000_000, "100gwei"),
        ] {
            let price: GasPrice = text.parse().unwrap();
            assert_eq!((price.0, price.to_string().as_str()), (wei, written));
        }
        let long = format!("{}gwei", "9".repeat(100));
        for text in [
            "",
            "50",
            "gwei",
            "-1gwei",
            "1e9wei",
            "0x5wei",
            "1ether",
            ".gwei",
            "1.2.3gwei",
            "0.5wei",
            &long,
        ] {
            text.parse::<GasPrice>().unwrap_err();
        }
        assert_eq!(
            GasPrice(u128::MAX).to_string().parse(),
            Ok(GasPrice(u128::MAX))
        );
    }

    #[test]
    fn nothing_overflows() {
        assert_eq!(gas_limit(100_000), Ok(110_000));
        assert_eq!(gas_limit(TRANSACTION_GAS_LIMIT), Ok(TRANSACTION_GAS_LIMIT));
        for gas in [TRANSACTION_GAS_LIMIT + 1, 0x1999_9999_9999_9998, u64::MAX] {
            assert!(matches!(gas_limit(gas), Err(ChainError::GasTooHigh { .. })));
        }
        let fees = estimate(u128::MAX, &[vec![u128::MAX], vec![u128::MAX]]);
        assert!(check_price(fees.max_fee_per_gas, DEFAULT_MAX_FEE).is_err());
        let fees = estimate(10, &[vec![], vec![0], vec![3, 9], vec![5], vec![4]]);
        assert_eq!(
            (fees.max_fee_per_gas, fees.max_priority_fee_per_gas),
            (24, 4)
        );
        assert_eq!(estimate(0, &[]).max_fee_per_gas, 1);
        assert_eq!(check_price(50, GasPrice(50)), Ok(50));
    }
}
