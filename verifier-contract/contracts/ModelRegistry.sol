// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.25;

import {ITensorSealVerifier} from "./ITensorSealVerifier.sol";
import {IVerifiedInference} from "./IVerifiedInference.sol";

/// @title Registry of models whose inferences are proved with tensorseal
/// @notice Registers models and verifies their proofs by model id. Without owner, upgrade or removal.
contract ModelRegistry is IVerifiedInference {
    /// @dev By id; written once.
    mapping(bytes32 id => Model) private models;

    /// @inheritdoc IVerifiedInference
    function register(address verifier, address key, string calldata metadataURI)
        external
        returns (bytes32 id)
    {
        id = modelId(verifier.codehash, key.codehash, metadataURI);
        // The first registration stays, so that nobody can be kept from theirs by someone who was faster.
        if (models[id].verifier != address(0)) return id;
        requireCode(verifier);
        requireCode(key);
        requireFit(verifier, key);
        models[id] = Model(verifier, key, metadataURI);
        emit ModelRegistered(id, verifier, key, metadataURI);
    }

    /// @inheritdoc IVerifiedInference
    function verifyAndLog(bytes32 id, uint256[] calldata instances, bytes calldata)
        external
        returns (bool)
    {
        forward(id, ITensorSealVerifier.verify.selector);
        emit InferenceVerified(id, msg.sender, keccak256(abi.encodePacked(instances)));
        return true;
    }

    /// @inheritdoc IVerifiedInference
    function verify(bytes32 id, uint256[] calldata, bytes calldata) external view returns (bool) {
        forward(id, ITensorSealVerifier.verify.selector);
        return true;
    }

    /// @inheritdoc IVerifiedInference
    function verifyBatch(bytes32 id, uint256[] calldata, bytes calldata)
        external
        view
        returns (bool)
    {
        forward(id, ITensorSealVerifier.verifyBatch.selector);
        return true;
    }

    /// @inheritdoc IVerifiedInference
    function model(bytes32 id) external view returns (Model memory) {
        if (models[id].verifier == address(0)) revert UnknownModel(id);
        return models[id];
    }

    /// @inheritdoc IVerifiedInference
    function modelId(bytes32 verifierHash, bytes32 keyHash, string calldata metadataURI)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(verifierHash, keyHash, keccak256(bytes(metadataURI))));
    }

    /// @dev Hands this call's arguments to a function of the model's verifier, word for word with the key in the model id's place.
    /// So the verifier checks the caller's own encoding, and its offsets are offsets into the caller's calldata.
    function forward(bytes32 id, bytes4 selector) private view {
        address verifier = models[id].verifier;
        if (verifier == address(0)) revert UnknownModel(id);
        address key = models[id].key;
        bool verdict;
        assembly ("memory-safe") {
            let ptr := mload(0x40)
            calldatacopy(ptr, 0, calldatasize())
            mstore(ptr, selector)
            mstore(add(ptr, 4), key)
            if iszero(staticcall(gas(), verifier, ptr, calldatasize(), 0, 0x20)) {
                returndatacopy(ptr, 0, returndatasize())
                revert(ptr, returndatasize())
            }
            verdict := and(eq(returndatasize(), 0x20), eq(mload(0), 1))
        }
        if (!verdict) revert NotAVerdict(verifier);
    }

    /// @dev No contract's code begins with 0xef (EIP-3541), but the 23 bytes 0xef0100 and an address that an account delegates
    /// with (EIP-7702) do: calls run the code there, and the account's owner can replace them at any time. What begins so
    /// has a hash that fixes nothing.
    function requireCode(address account) private view {
        uint256 first;
        assembly ("memory-safe") {
            mstore(0, 0)
            extcodecopy(account, 0, 0, 1)
            first := byte(0, mload(0))
        }
        if (first == 0xef) revert DelegatedAccount(account);
    }

    /// @dev A verifier with a key of its profile refuses an empty proof for its length, or for the missing public
    /// values, and reads the key before that. This finds mistakes; what the code does, its hash says.
    function requireFit(address verifier, address key) private view {
        bytes memory empty =
            abi.encodeCall(ITensorSealVerifier.verify, (key, new uint256[](0), new bytes(0)));
        (bool accepted, bytes memory reason) = verifier.staticcall(empty);
        bytes4 selector = bytes4(reason);
        bool fit = selector == ITensorSealVerifier.BadInstanceCount.selector
            || selector == ITensorSealVerifier.BadProofLength.selector;
        if (accepted || !fit) revert NotAModel(verifier, key);
    }
}
