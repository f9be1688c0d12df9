// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {PoseidonDigest} from "../../contracts/PoseidonDigest.sol";

/// @title The library's functions as calls, for the tests
contract DigestHarness {
    /// @notice See {PoseidonDigest-digest}.
    function digest(int256[] calldata values, int256 lo, uint256 bits)
        external
        pure
        returns (uint256)
    {
        return PoseidonDigest.digest(values, lo, bits);
    }

    /// @notice See {PoseidonDigest-hash}.
    function hash(uint256 tag, uint256[] calldata elements) external pure returns (uint256) {
        return PoseidonDigest.hash(tag, elements);
    }
}
