// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.25;

import {IVerifiedInference} from "./IVerifiedInference.sol";
import {Model} from "./Model.sol";
import {PublicValues} from "./PublicValues.sol";

/// @title Example: an oracle whose answers are proved inferences
/// @notice Anyone asks for the model's output on an input; anyone answers, and only a proved answer counts.
/// @dev Replay. A proof can be shown again by anyone, and made anew for the same statement with other bytes, so
/// remembering proofs would protect nothing. What protects: an answer must be for the input of its request, which is
/// among the proof's public values, and a request is answered once. The model is a function, so a proof shown for
/// another request of the same input can only give that request its one right answer. Answers carry no reward
/// here; a contract that pays for them must take into account that a proof seen in the mempool can be
/// sent by someone else first.
contract PredictionOracle {
    using PublicValues for uint256[];

    /// @notice A request.
    struct Request {
        /// @notice Keccak-256 of the input's integers, each in 32 bytes.
        bytes32 inputHash;
        /// @notice Whether it has its answer.
        bool answered;
    }

    /// @notice Verifies proofs of registered models.
    IVerifiedInference public immutable registry;
    /// @notice The requests so far.
    Request[] public requests;
    /// @dev The answers, by request.
    mapping(uint256 id => int256[]) private outputs;

    /// @notice Someone asks.
    /// @param id The request.
    /// @param input The input's integers, in ONNX order.
    event Requested(uint256 indexed id, int256[] input);
    /// @notice A request has its answer.
    /// @param id The request.
    /// @param output The output's integers, in ONNX order.
    event Answered(uint256 indexed id, int256[] output);

    /// @notice There is no such request.
    /// @param id The request asked for.
    error UnknownRequest(uint256 id);
    /// @notice The request has its answer already.
    /// @param id The request.
    error AlreadyAnswered(uint256 id);
    /// @notice The request has no answer yet.
    /// @param id The request.
    error NotAnswered(uint256 id);
    /// @notice The proof is for another input than the request's.
    /// @param id The request.
    error WrongInput(uint256 id);

    /// @param registry_ Verifies proofs of registered models; must be trusted, unlike whoever registered the model.
    constructor(IVerifiedInference registry_) {
        registry = registry_;
        // Fails now rather than at the first answer where the model is not registered.
        registry_.model(Model.ID);
    }

    /// @notice Asks for the output on an input.
    /// @param input The input's integers, in ONNX order: real numbers divided by the input's scale, and rounded.
    /// @return id The request.
    function request(int256[] calldata input) external returns (uint256 id) {
        id = requests.length;
        requests.push(Request(keccak256(abi.encodePacked(input)), false));
        emit Requested(id, input);
    }

    /// @notice Answers a request.
    /// @param id The request.
    /// @param instances The proof's public values.
    /// @param proof The proof.
    function answer(uint256 id, uint256[] calldata instances, bytes calldata proof) external {
        record(id, instances, proof);
    }

    /// @notice `answer`, with less calldata: public values as signed integers of `width` bytes.
    /// @param id The request.
    /// @param width Bytes of a public value, 1 to 31.
    /// @param packed The proof's public values, one after the other.
    /// @param proof The proof.
    function answerPacked(
        uint256 id,
        uint256 width,
        bytes calldata packed,
        bytes calldata proof
    ) external {
        record(id, PublicValues.unpack(packed, width), proof);
    }

    /// @dev An answer counts if it is the first, for the input of its request, and proved.
    function record(uint256 id, uint256[] memory instances, bytes calldata proof) private {
        if (id >= requests.length) revert UnknownRequest(id);
        if (requests[id].answered) revert AlreadyAnswered(id);
        bytes32 inputHash = keccak256(abi.encodePacked(instances.read(Model.INPUT)));
        if (inputHash != requests[id].inputHash) revert WrongInput(id);
        registry.verify(Model.ID, instances, proof);
        int256[] memory output = instances.read(Model.OUTPUT);
        requests[id].answered = true;
        outputs[id] = output;
        emit Answered(id, output);
    }

    /// @notice A request's answer.
    /// @param id The request.
    /// @return The output's integers, in ONNX order; a real number is its integer times the output's scale.
    function outputOf(uint256 id) external view returns (int256[] memory) {
        if (id >= requests.length) revert UnknownRequest(id);
        if (!requests[id].answered) revert NotAnswered(id);
        return outputs[id];
    }
}
