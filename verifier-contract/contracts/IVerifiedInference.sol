// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.25;

/// @title Proved inferences of registered models
/// @notice What a contract needs that acts on the outputs of a neural network: fix a model id, then `verify`.
/// @dev A model id is
///
///     keccak256(abi.encode(verifier code hash, key code hash, keccak256(metadata URI)))
///
/// and so the same on every chain, and it fixes what is proved: the code that verifies, the model's key (weights,
/// architecture, reference string), and the document that says what they mean. Whoever has computed the id from code
/// hashes that they know need not trust who registered it. An id found on a chain says only that some code has these
/// hashes: a proxy has a hash too, and its owner can change what it does. A proof states that some input, the public one where the model's input is public, gives the
/// public output. It names no sender, no time and no purpose, and may be shown again by anyone: a consumer binds
/// it to its own request, as the example `PredictionOracle` does.
interface IVerifiedInference {
    /// @notice A registered model.
    struct Model {
        /// @notice Contract that verifies its proofs.
        address verifier;
        /// @notice Data contract with its key.
        address key;
        /// @notice Where to read what the model is, and how its public values are scaled.
        string metadataURI;
    }

    /// @notice A model has been registered, once and for all.
    /// @param modelId Its id.
    /// @param verifier Contract that verifies its proofs.
    /// @param key Data contract with its key.
    /// @param metadataURI Where to read what the model is.
    event ModelRegistered(
        bytes32 indexed modelId, address indexed verifier, address indexed key, string metadataURI
    );

    /// @notice `verifyAndLog` has accepted a proof.
    /// @param modelId The model.
    /// @param caller Who asked.
    /// @param instancesHash Keccak-256 of the words of `instances`. Words that carry no public value of the model
    /// are not part of the statement, so one statement can have several hashes.
    event InferenceVerified(
        bytes32 indexed modelId, address indexed caller, bytes32 indexed instancesHash
    );

    /// @notice No model of this id is registered here.
    /// @param modelId The id asked for.
    error UnknownModel(bytes32 modelId);
    /// @notice There is no verifier at the one address, or no key of its profile at the other.
    /// @param verifier The address given for the verifier.
    /// @param key The address given for the key.
    error NotAModel(address verifier, address key);
    /// @notice The account's code only points to another's (EIP-7702), and its owner can point it elsewhere.
    /// @param account The address given for the verifier or the key.
    error DelegatedAccount(address account);
    /// @notice The model's verifier neither accepted nor reverted.
    /// @param verifier The verifier.
    error NotAVerdict(address verifier);

    /// @notice Registers a model. Anyone may; nobody can change or remove it. Does nothing where the same verifier
    /// code, key and URI are registered already, at whatever addresses.
    /// @param verifier Contract that verifies the model's proofs.
    /// @param key Data contract with the model's key, of the verifier's profile.
    /// @param metadataURI Where to read what the model is.
    /// @return The model's id.
    function register(address verifier, address key, string calldata metadataURI)
        external
        returns (bytes32);

    /// @notice A model's id, from what it is the hash of.
    /// @param verifierHash Code hash of the verifier.
    /// @param keyHash Code hash of the key.
    /// @param metadataURI Where to read what the model is.
    /// @return The id.
    function modelId(bytes32 verifierHash, bytes32 keyHash, string calldata metadataURI)
        external
        pure
        returns (bytes32);

    /// @notice A registered model; reverts with `UnknownModel` where there is none.
    /// @param id Its id.
    /// @return The model.
    function model(bytes32 id) external view returns (Model memory);

    /// @notice Verifies a proof; reverts where it is not accepted, with the verifier's error.
    /// @dev Calldata must be the one ABI encoding of the arguments, as for the verifier itself.
    /// @param id The model.
    /// @param instances The public values, row by row.
    /// @param proof The proof.
    /// @return True, always.
    function verify(bytes32 id, uint256[] calldata instances, bytes calldata proof)
        external
        view
        returns (bool);

    /// @notice Verifies several proofs of one model with one pairing; reverts where one of them is not accepted.
    /// @dev Calldata must be the one ABI encoding of the arguments, as for the verifier itself.
    /// @param id The model.
    /// @param instances The public values of each proof, one after the other.
    /// @param proofs The proofs, one after the other; one at least.
    /// @return True, always.
    function verifyBatch(bytes32 id, uint256[] calldata instances, bytes calldata proofs)
        external
        view
        returns (bool);

    /// @notice `verify`, and an event `InferenceVerified`.
    /// @param id The model.
    /// @param instances The public values, row by row.
    /// @param proof The proof.
    /// @return True, always.
    function verifyAndLog(bytes32 id, uint256[] calldata instances, bytes calldata proof)
        external
        returns (bool);
}
