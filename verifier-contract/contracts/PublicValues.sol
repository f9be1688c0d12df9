// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.25;

/// @title Reads a model's public tensors out of a proof's public values, and unpacks public values
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
    /// @notice No whole number of values of this width, or a width that is not 1 to 31.
    /// @param length Bytes received.
    /// @param width Bytes of a value.
    error BadPacking(uint256 length, uint256 width);

    /// @notice The integers of a tensor, in ONNX order.
    /// @param instances The public values that a proof was verified with.
    /// @param places For each value of the tensor its place in `instances`, in four bytes.
    /// @return values The tensor. A real number is its integer times the tensor's scale.
    function read(uint256[] memory instances, bytes memory places)
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

    /// @notice Public values from fewer bytes of calldata: each is a signed integer of `width` bytes instead of a word
    /// of 32, which for a negative one has no zero byte.
    /// @param packed The integers, big-endian two's complement, one after the other.
    /// @param width Bytes of each, 1 to 31.
    /// @return instances The words that a verifier takes; `-n` becomes `R - n`.
    function unpack(bytes calldata packed, uint256 width)
        internal
        pure
        returns (uint256[] memory instances)
    {
        if (width == 0 || width > 31 || packed.length % width != 0) {
            revert BadPacking(packed.length, width);
        }
        uint256 count = packed.length / width;
        instances = new uint256[](count);
        assembly ("memory-safe") {
            let shift := sub(256, mul(8, width))
            let from := packed.offset
            let to := add(instances, 0x20)
            for { let end := add(to, mul(count, 0x20)) } lt(to, end) { to := add(to, 0x20) } {
                // The shift drops what follows the value, and fills in its sign.
                let value := sar(shift, calldataload(from))
                mstore(to, add(value, mul(R, slt(value, 0))))
                from := add(from, width)
            }
        }
    }
}
