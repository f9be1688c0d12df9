// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.25;

/// @title A tensorseal verifier: one contract for all models of a circuit profile
/// @notice The generated contracts `TensorSealVerifier_<profile>` have this function and these errors. They are
/// immutable, without owner or storage.
interface ITensorSealVerifier {
    /// @notice `key` is no data contract with a key of the verifier's profile.
    /// @param key The address given.
    error BadKey(address key);
    /// @notice There are not as many public values as the key says.
    /// @param received Values in the call.
    /// @param expected Values that the key asks for.
    error BadInstanceCount(uint256 received, uint256 expected);
    /// @notice The proof has not the length of the profile's proofs.
    /// @param received Bytes in the call.
    /// @param expected Bytes of the profile's proofs.
    error BadProofLength(uint256 received, uint256 expected);
    /// @notice The calldata is not the one encoding of its arguments: other offsets, or another length.
    /// @param received Bytes of calldata.
    /// @param expected Bytes that the one encoding has.
    error BadCalldata(uint256 received, uint256 expected);
    /// @notice A word of the calldata is not below the group order.
    /// @param offset Where it stands in the calldata.
    error ScalarNotCanonical(uint256 offset);
    /// @notice Two words of the calldata are no point of the curve.
    /// @param offset Where they stand in the calldata.
    error PointNotOnCurve(uint256 offset);
    /// @notice A precompile refused its input, or too little gas was given, or the chain lacks it.
    /// @param precompile The precompile's address.
    error PrecompileFailed(uint256 precompile);
    /// @notice The proof is well-formed and wrong.
    error PairingFailed();

    /// @notice Verifies a proof; reverts where it is not accepted.
    /// @dev Whoever chooses the key chooses what is proved: fix it, or verify through a registry by model id.
    /// @param key The model's key, a data contract.
    /// @param instances The public values, row by row.
    /// @param proof The proof.
    /// @return True, always.
    function verify(address key, uint256[] calldata instances, bytes calldata proof)
        external
        view
        returns (bool);

    /// @notice Verifies several proofs of one model with one pairing; reverts where one of them is not accepted.
    /// @param key The model's key, a data contract.
    /// @param instances The public values of each proof, one after the other.
    /// @param proofs The proofs, one after the other; one at least.
    /// @return True, always.
    function verifyBatch(address key, uint256[] calldata instances, bytes calldata proofs)
        external
        view
        returns (bool);
}
