// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.25;

/// @title Reads a model's public tensors out of a proof's public values
/// @dev Where a tensor's values stand is the model's layout, exported with it as `Model.sol`. Words at other places
/// carry nothing and are not part of what is proved: never take them for data, nor the hash of all words for the
/// statement's identity.
library PublicValues {
    /// @notice Order of BN254's groups: a negative value `-n` is the word `R - n`.
    uint256 internal constant R =
        0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    /// @notice Fewer public values than the places ask for.
    /// @param received Values there are.
    /// @param place A place beyond them.
    error NoSuchValue(uint256 received, uint256 place);

    /// @notice The integers of a tensor, in ONNX order.
    /// @param instances The public values that a proof was verified with.
    /// @param places For each value of the tensor its place in `instances`, in four bytes.
    /// @return values The tensor. A real number is its integer times the tensor's scale.
    function read(uint256[] calldata instances, bytes memory places)
        internal
        pure
        returns (int256[] memory values)
    {
        uint256 count = places.length / 4;
        values = new int256[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 place;
            assembly ("memory-safe") {
                place := shr(224, mload(add(add(places, 0x20), mul(i, 4))))
            }
            if (place >= instances.length) revert NoSuchValue(instances.length, place);
            uint256 word = instances[place];
            values[i] = word > R / 2 ? int256(word) - int256(R) : int256(word);
        }
    }
}
