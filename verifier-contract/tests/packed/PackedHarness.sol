// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.25;

import {IVerifiedInference} from "../../contracts/IVerifiedInference.sol";
import {PublicValues} from "../../contracts/PublicValues.sol";

/// @title A consumer that takes public values as words, or packed, for the tests
contract PackedHarness {
    /// @notice Words.
    function plain(
        IVerifiedInference registry,
        bytes32 id,
        uint256[] memory instances,
        bytes calldata proof
    ) external view returns (bool) {
        return registry.verify(id, instances, proof);
    }

    /// @notice See {PublicValues-unpack}.
    function packed(
        IVerifiedInference registry,
        bytes32 id,
        uint256 width,
        bytes calldata values,
        bytes calldata proof
    ) external view returns (bool) {
        return registry.verify(id, PublicValues.unpack(values, width), proof);
    }
}
