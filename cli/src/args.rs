//! Every command and flag.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
};
use tensorseal_circuits::quantize::Method;

use crate::chain::GasPrice;
use crate::pipeline::StatementId;

/// Proves in zero knowledge that a quantized neural network gave an output, and verifies it natively or on an EVM chain.
///
/// Start with `tensorseal demo`. Exit codes: 0 done or accepted, 1 proof rejected, by whatever checked it, or outputs that
/// differ, 2 usage or a file that is not what it should be, 3 file system or network.
#[derive(Debug, Parser)]
#[command(name = "tensorseal", version)]
pub struct Cli {
    /// Print one JSON object on stdout instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Tell on stderr what is done, with times, sizes and files; repeat for more, from the third on of other libraries too
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Import ONNX models without limits on memory and time: for large models from a source that you trust
    #[arg(long, global = true)]
    pub no_import_limits: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Quantize an ONNX model and lay it out as a circuit: MODEL.onnx -> model.seal
    Compile(Compile),
    /// Try bit widths and ranges on calibration data and show the error of each
    Calibrate(Calibrate),
    /// Compare the integer model with the float model on your own inputs, tensor by tensor
    Compare(Compare),
    /// Run a model in integers, as the circuit would, and write the dequantized outputs
    Run(Run),
    /// Import a ceremony's structured reference string, or make an INSECURE one for development
    Srs(Srs),
    /// Make the proving and the verifying key of a compiled model
    Setup(Setup),
    /// Digests of an input, and of the output that it gives, as proofs of a model with hashed sides show them
    Hash(Hash),
    /// Prove one inference
    Prove(Prove),
    /// Verify a proof
    Verify(Verify),
    /// Write a Foundry project: contracts, the model's key and constants, a test that replays a proof, calldata
    Export(Export),
    /// Deploy the verifier contract and the model's key to a chain, or to the embedded EVM
    Deploy(Deploy),
    /// Register the model in the registry, deploying what is missing
    Register(Register),
    /// Have the contract verify a proof, on a chain or in the embedded EVM
    VerifyOnchain(VerifyOnchain),
    /// Show what a file holds: a model's rows, columns and layers, or an artifact's header
    Inspect(Inspect),
    /// Measure setup, proving, verifying, sizes and the error against the float model
    Bench(Bench),
    /// Everything in one go, on a bundled model that reads handwritten digits
    Demo(Demo),
    /// The devices that proofs can be computed on, and why others cannot be used
    Devices,
    /// Import a model from stdin and do nothing with it
    #[command(hide = true)]
    TrialImport(TrialImport),
}

/// The flags of `trial-import`.
#[derive(Debug, Args)]
pub struct TrialImport {
    /// Items of a batch
    #[arg(long)]
    pub batch: usize,
}

/// What the layout planner minimizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Optimize {
    /// Proving time: wide layouts with few rows
    Prover,
    /// Gas and proof size: narrow layouts with few commitments
    Gas,
    /// Between the two
    Balanced,
}

/// Who sees a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Visibility {
    /// Part of the proof's public values
    Public,
    /// Known to the prover only
    Private,
    /// Known to the prover only, but for a digest of all its values among the proof's public values
    Hashed,
}

/// The model that a command is about, given by itself or, as the same, by `--model`.
#[derive(Clone, Debug, Args)]
pub struct ModelFile {
    /// The model
    #[arg(value_name = "MODEL", required_unless_present = "model_flag")]
    model: Option<PathBuf>,
    /// The model, by name
    #[arg(
        id = "model_flag",
        long = "model",
        value_name = "FILE",
        conflicts_with = "model",
        hide_short_help = true
    )]
    flag: Option<PathBuf>,
}

impl ModelFile {
    /// Its path.
    pub fn path(&self) -> &Path {
        let path = self.model.as_deref().or(self.flag.as_deref());
        path.expect("one of the two is required")
    }
}

/// Which statement the key must be of.
#[derive(Clone, Copy, Debug, Args)]
pub struct Expect {
    /// Stop, with exit code 2, unless this is the key's statement id: the one that was published with the model
    #[arg(long = "expect", value_name = "ID")]
    pub id: Option<StatementId>,
}

/// What may be written over.
#[derive(Clone, Copy, Debug, Args)]
pub struct Overwrite {
    /// Replace a file of another kind, and keys of another model; never an input of the same command
    #[arg(long)]
    pub force: bool,
}

/// How a float model becomes an integer one.
#[derive(Clone, Debug, Args)]
pub struct Quantization {
    /// Typical inputs (.npz, .npy or .json); the ranges of all tensors are taken from them
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// Instead of calibration data: inputs drawn evenly from this range
    #[arg(long, value_name = "LOW,HIGH", conflicts_with = "calibration", value_parser = parse_range, allow_hyphen_values = true)]
    pub input_range: Option<(f32, f32)>,
    /// Bits of an activation
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(4..=16))]
    pub bits: u32,
    /// How many inputs one proof covers, 1 where not given; fixes a dynamic batch dimension
    #[arg(long, value_parser = parse_positive)]
    pub batch: Option<usize>,
    /// How far ranges reach: minmax, entropy, or a percentile of the calibration data (50..=100); values outside are clamped
    #[arg(long, default_value = "minmax", value_name = "METHOD")]
    pub ranges: Ranges,
}

impl Quantization {
    /// Whether anything was asked for.
    pub fn is_given(&self) -> bool {
        let default = Self::default();
        self.calibration.is_some()
            || self.input_range.is_some()
            || self.batch.is_some()
            || (self.bits, self.ranges) != (default.bits, default.ranges)
    }
}

impl Default for Quantization {
    fn default() -> Self {
        Self {
            calibration: None,
            input_range: None,
            bits: 8,
            batch: None,
            ranges: Ranges(Method::MinMax),
        }
    }
}

/// How scales follow from calibration data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranges(pub Method);

impl std::str::FromStr for Ranges {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let method = match (text, text.parse::<f64>()) {
            ("minmax", _) => Method::MinMax,
            ("entropy", _) => Method::Entropy,
            (_, Ok(value)) if value > 50.0 && value <= 100.0 => Method::Percentile(value),
            (_, Ok(_)) => return Err("a percentile must be above 50 and at most 100".into()),
            (_, Err(_)) => {
                return Err("give minmax, entropy, or a percentile such as 99.9".into());
            }
        };
        Ok(Self(method))
    }
}

impl std::fmt::Display for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Method::MinMax => f.write_str("minmax"),
            Method::Entropy => f.write_str("entropy"),
            Method::Percentile(percentile) => write!(f, "{percentile}"),
        }
    }
}

/// How an integer model becomes a circuit.
#[derive(Clone, Copy, Debug, Args)]
pub struct Layout {
    /// What to minimize
    #[arg(long, value_enum, default_value_t = Optimize::Prover)]
    pub optimize: Optimize,
    /// Who sees the input
    // `compile` reads no file of inputs, so its old name cannot be taken for one.
    #[arg(long, alias = "input", value_enum, value_name = "WHO", default_value_t = Visibility::Private)]
    pub input_visibility: Visibility,
    /// Who sees the output
    #[arg(long, value_enum, value_name = "WHO", default_value_t = Visibility::Public)]
    pub output_visibility: Visibility,
}

/// `compile`.
#[derive(Debug, Args)]
#[command(mut_arg("model", |arg| arg.help("The ONNX model")))]
pub struct Compile {
    /// Model
    #[command(flatten)]
    pub model: ModelFile,
    /// The compiled model to write
    #[arg(
        short = 'o',
        long = "output",
        alias = "out",
        value_name = "FILE",
        default_value = "model.seal",
        value_parser = PathBufValueParser::new().try_map(output_file)
    )]
    pub output: PathBuf,
    /// The model's name in keys, proofs and contracts; else that of the ONNX graph, or of the file where the graph has only
    /// one that its exporter made up
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub name: Option<String>,
    /// Quantization
    #[command(flatten)]
    pub quantization: Quantization,
    /// Layout
    #[command(flatten)]
    pub layout: Layout,
    /// Gives every tensor bits of its own: the most accurate model that takes at most this many rows
    #[arg(long, value_name = "ROWS", conflicts_with = "target_accuracy", value_parser = parse_positive)]
    pub max_rows: Option<usize>,
    /// Gives every tensor bits of its own: the fewest rows whose outputs have this signal-to-noise ratio, in decibels
    #[arg(long, value_name = "DB", value_parser = parse_decibels, allow_negative_numbers = true)]
    pub target_accuracy: Option<f64>,
    /// Makes warnings errors: nothing is written
    #[arg(long)]
    pub strict: bool,
    /// Overwriting
    #[command(flatten)]
    pub overwrite: Overwrite,
}

/// `calibrate`.
#[derive(Debug, Args)]
#[command(mut_arg("model", |arg| arg.help("The ONNX model")))]
pub struct Calibrate {
    /// Model
    #[command(flatten)]
    pub model: ModelFile,
    /// Typical inputs (.npz, .npy or .json)
    #[arg(long, value_name = "FILE")]
    pub calibration: PathBuf,
    /// Bit widths to try
    #[arg(long, value_delimiter = ',', default_values_t = [6, 8, 10, 12, 14], value_parser = clap::value_parser!(u32).range(4..=16))]
    pub bits: Vec<u32>,
    /// Ways to find ranges to try: minmax, entropy, percentiles
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "minmax,99.99,99.9,entropy",
        value_name = "METHODS"
    )]
    pub ranges: Vec<Ranges>,
    /// Show the signal-to-noise ratio of every tensor, with the first bits and ranges
    #[arg(long)]
    pub layers: bool,
    /// At most this many inputs are compared with the float model
    #[arg(long, default_value_t = 64, value_parser = parse_positive)]
    pub items: usize,
}

/// `compare`.
#[derive(Debug, Args)]
#[command(mut_arg("model", |arg| arg.help("The ONNX model")))]
pub struct Compare {
    /// Model
    #[command(flatten)]
    pub model: ModelFile,
    /// The inputs (.npz, .npy or .json), any number of them
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Compare this compiled model, outputs only, instead of quantizing the ONNX model anew
    #[arg(long, value_name = "FILE")]
    pub compiled: Option<PathBuf>,
    /// For a quantized model: what another runtime computed for these inputs (.npz with arrays named like the outputs, .json);
    /// each difference must follow from numbers near a half that float32 rounds to the other side
    #[arg(long, value_name = "FILE", conflicts_with = "compiled")]
    pub reference: Option<PathBuf>,
    /// Quantization, without --compiled; ranges are taken from the inputs where nothing else is given
    #[command(flatten)]
    pub quantization: Quantization,
}

/// `run`.
#[derive(Debug, Args)]
#[command(mut_arg("model", |arg| arg.help("A compiled model (.seal), or an ONNX model with calibration")))]
pub struct Run {
    /// Model
    #[command(flatten)]
    pub model: ModelFile,
    /// The inputs (.npz, .npy or .json), any number of them
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Where to write the dequantized outputs (.npz, .npy or .json); without it they are only printed
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Quantization, for an ONNX model
    #[command(flatten)]
    pub quantization: Quantization,
    /// Makes warnings errors: nothing is written
    #[arg(long)]
    pub strict: bool,
    /// Overwriting
    #[command(flatten)]
    pub overwrite: Overwrite,
}

/// `srs`.
#[derive(Debug, Args)]
pub struct Srs {
    /// What to do
    #[command(subcommand)]
    pub command: SrsCommand,
}

/// The commands of `srs`.
#[derive(Debug, Subcommand)]
pub enum SrsCommand {
    /// Make an INSECURE reference string for development: whoever made it could forge proofs
    Dev(SrsDev),
    /// Import the result of a ceremony, and check every point that is kept: a .ptau file of snarkjs, or halo2 parameters
    Import(SrsImport),
}

/// `srs dev`.
#[derive(Debug, Args)]
pub struct SrsDev {
    /// log2 of the rows it serves
    #[arg(long, value_parser = clap::value_parser!(u32).range(4..=24))]
    pub k: u32,
    /// The file to write
    #[arg(short = 'o', long = "output", alias = "out", value_name = "FILE")]
    pub output: PathBuf,
    /// Overwriting
    #[command(flatten)]
    pub overwrite: Overwrite,
}

/// `srs import`.
#[derive(Debug, Args)]
pub struct SrsImport {
    /// A .ptau file of snarkjs for bn128, or what halo2's ParamsKZG writes (RawBytes or Processed)
    pub file: PathBuf,
    /// log2 of the rows to serve; as many as the file serves where not given
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=28))]
    pub k: Option<u32>,
    /// The file to write
    #[arg(short = 'o', long = "output", alias = "out", value_name = "FILE")]
    pub output: PathBuf,
    /// Overwriting
    #[command(flatten)]
    pub overwrite: Overwrite,
}

/// `setup`.
#[derive(Debug, Args)]
#[command(mut_arg("model", |arg| arg.help("The compiled model")))]
pub struct Setup {
    /// Model
    #[command(flatten)]
    pub model: ModelFile,
    /// The reference string, of this size or larger; what the model needs of it is kept beside the keys
    #[arg(long, value_name = "FILE")]
    pub srs: Option<PathBuf>,
    /// Make an INSECURE development reference string instead
    #[arg(long, conflicts_with = "srs")]
    pub dev: bool,
    /// The folder for the keys
    #[arg(
        short = 'o',
        long = "output",
        alias = "out",
        value_name = "DIR",
        default_value = "keys"
    )]
    pub output: PathBuf,
    /// Overwriting
    #[command(flatten)]
    pub overwrite: Overwrite,
}

/// `hash`.
#[derive(Debug, Args)]
#[command(mut_arg("model", |arg| arg.help("The compiled model")))]
pub struct Hash {
    /// Model
    #[command(flatten)]
    pub model: ModelFile,
    /// The input (.npz, .npy or .json)
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Which batch of the input file to hash, where it holds more than one
    #[arg(long, default_value_t = 0)]
    pub index: usize,
}

/// `prove`.
#[derive(Debug, Args)]
#[command(mut_arg("model", |arg| arg.help("The compiled model")))]
pub struct Prove {
    /// Model
    #[command(flatten)]
    pub model: ModelFile,
    /// The folder that `setup` wrote
    #[arg(long, value_name = "DIR", default_value = "keys")]
    pub keys: PathBuf,
    /// The proving key, where it is not in the folder
    #[arg(long, value_name = "FILE")]
    pub pk: Option<PathBuf>,
    /// The reference string, where it is not in the folder
    #[arg(long, value_name = "FILE")]
    pub srs: Option<PathBuf>,
    /// The input (.npz, .npy or .json)
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Which batch of the input file to prove, where it holds more than one
    #[arg(long, default_value_t = 0)]
    pub index: usize,
    /// The proof to write
    #[arg(short = 'o', long, visible_alias = "output", value_name = "FILE")]
    pub proof: PathBuf,
    /// What the fast prover may keep for reuse, in MiB; 256 with --repeat, else nothing: it pays from the second proof on
    #[arg(long, value_name = "MIB", value_parser = memory_range())]
    pub memory: Option<u32>,
    /// Where the fast prover computes
    #[arg(long, value_enum, default_value_t = Backend::Cpu)]
    pub backend: Backend,
    /// Which prover makes the proof
    #[arg(long, value_enum, default_value_t = WhichProver::Fast)]
    pub prover: WhichProver,
    /// Afterwards prove with the plain prover too, in a process of its own, and report its time and memory
    #[arg(long, conflicts_with = "prover")]
    pub plain: bool,
    /// Show time and peak memory by stage, and draw them where a file is given
    #[arg(long, value_name = "FILE.svg", num_args = 0..=1, conflicts_with = "prover")]
    pub profile: Option<Option<PathBuf>>,
    /// Prove this many times; the first is reported, and the median of those after it
    #[arg(long, default_value_t = 1, value_parser = parse_positive, hide = true)]
    pub repeat: usize,
    /// Expected
    #[command(flatten)]
    pub expect: Expect,
    /// Makes warnings errors: nothing is written
    #[arg(long)]
    pub strict: bool,
    /// Overwriting
    #[command(flatten)]
    pub overwrite: Overwrite,
}

/// Where the fast prover computes; `tensorseal devices` lists what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// On a CUDA device if one is found and the circuit fits, else on this processor
    Auto,
    /// On the cores of this processor
    Cpu,
    /// On the first CUDA device; an error where it cannot be used
    Cuda,
    /// By an installed ICICLE library, on its device; an error where it has none
    Icicle,
}

impl Backend {
    /// The value of the flag.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Icicle => "icicle",
        }
    }
}

/// A prover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhichProver {
    /// The fast one
    Fast,
    /// The plain one, for comparison
    Plain,
}

impl WhichProver {
    /// The value of the flag.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Plain => "plain",
        }
    }
}

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The folder that `setup` wrote
    #[arg(long, value_name = "DIR", default_value = "keys")]
    pub keys: PathBuf,
    /// The verifying key, where it is not in the folder
    #[arg(long, value_name = "FILE")]
    pub vk: Option<PathBuf>,
    /// The proof, with its public values
    #[arg(long, value_name = "FILE")]
    pub proof: PathBuf,
    /// Expected
    #[command(flatten)]
    pub expect: Expect,
}

/// `export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The folder that `setup` wrote
    #[arg(long, value_name = "DIR", default_value = "keys")]
    pub keys: PathBuf,
    /// The verifying key, where it is not in the folder
    #[arg(long, value_name = "FILE")]
    pub vk: Option<PathBuf>,
    /// A proof to replay in the project's test, and whose calldata to write
    #[arg(long, value_name = "FILE")]
    pub proof: Option<PathBuf>,
    /// The metadata URI that the model is registered with
    #[arg(long, value_name = "URI", default_value = "")]
    pub metadata_uri: String,
    /// What `deploy` or `register` wrote: the project then has the addresses of the contracts and the metadata URI that the
    /// model is registered with
    #[arg(long, value_name = "FILE", conflicts_with_all = ["metadata_uri", "key_address"])]
    pub deployment: Option<PathBuf>,
    /// The address of the model's key on the chain, for the calldata, where it is not the deterministic one
    #[arg(long, value_name = "ADDRESS", requires = "proof")]
    pub key_address: Option<String>,
    /// The folder to write to
    #[arg(
        short = 'o',
        long = "output",
        alias = "out",
        value_name = "DIR",
        default_value = "export"
    )]
    pub output: PathBuf,
    /// Expected
    #[command(flatten)]
    pub expect: Expect,
    /// Overwriting
    #[command(flatten)]
    pub overwrite: Overwrite,
}

/// Which chain.
#[derive(Debug, Args)]
pub struct Chain {
    /// The chain's JSON-RPC; without it an EVM inside this process is used and nothing is kept
    #[arg(long, value_name = "URL")]
    pub rpc_url: Option<String>,
    /// Stop unless this is the chain's id; needed wherever something is sent, if no deployment's file says it
    #[arg(long, value_name = "N", requires = "rpc_url")]
    pub chain_id: Option<u64>,
    /// The file with the sender's private key in hex; else the variable TENSORSEAL_PRIVATE_KEY is read
    #[arg(long, value_name = "FILE", requires = "rpc_url")]
    pub private_key_file: Option<PathBuf>,
    /// The sender's encrypted key file, as geth and Foundry keep them
    #[arg(
        long,
        value_name = "FILE",
        requires = "rpc_url",
        conflicts_with = "private_key_file"
    )]
    pub keystore: Option<PathBuf>,
    /// The file with the keystore's password; else the variable TENSORSEAL_KEYSTORE_PASSWORD is read
    #[arg(long, value_name = "FILE", requires = "keystore")]
    pub password_file: Option<PathBuf>,
    /// The highest price of gas that is signed, such as 50gwei or 1000wei: 50gwei unless given
    #[arg(long, value_name = "PRICE", requires = "rpc_url")]
    pub max_fee: Option<GasPrice>,
    /// How many blocks a transaction waits for, its own counted
    #[arg(long, value_name = "N", requires = "rpc_url", default_value = "1")]
    pub confirmations: NonZeroU32,
    /// Send nothing: ask the chain what would happen, and for how much gas
    #[arg(long, requires = "rpc_url")]
    pub dry_run: bool,
}

/// `deploy`.
#[derive(Debug, Args)]
pub struct Deploy {
    /// The folder that `setup` wrote
    #[arg(long, value_name = "DIR", default_value = "keys")]
    pub keys: PathBuf,
    /// The verifying key, where it is not in the folder
    #[arg(long, value_name = "FILE")]
    pub vk: Option<PathBuf>,
    /// Chain
    #[command(flatten)]
    pub chain: Chain,
    /// Create contracts by plain transactions, at addresses that depend on the sender: for a chain without the
    /// deterministic deployment proxy
    #[arg(long, requires = "rpc_url")]
    pub plain_create: bool,
    /// Where to write addresses and receipts, for `verify-onchain`; what the file says already is not deployed again
    #[arg(
        short = 'o',
        long = "output",
        alias = "out",
        value_name = "FILE",
        requires = "rpc_url"
    )]
    pub output: Option<PathBuf>,
    /// Expected
    #[command(flatten)]
    pub expect: Expect,
    /// Overwriting
    #[command(flatten)]
    pub overwrite: Overwrite,
}

/// `register`.
#[derive(Debug, Args)]
pub struct Register {
    /// What is deployed where it is missing
    #[command(flatten)]
    pub deploy: Deploy,
    /// Where to read what the model is; part of the id that it is registered as
    #[arg(long, value_name = "URI", default_value = "")]
    pub metadata_uri: String,
}

/// `verify-onchain`.
#[derive(Debug, Args)]
pub struct VerifyOnchain {
    /// The folder that `setup` wrote
    #[arg(long, value_name = "DIR", default_value = "keys")]
    pub keys: PathBuf,
    /// The verifying key, where it is not in the folder
    #[arg(long, value_name = "FILE")]
    pub vk: Option<PathBuf>,
    /// The proof; given several times, all are verified in one call with one pairing
    #[arg(long, value_name = "FILE", required = true)]
    pub proof: Vec<PathBuf>,
    /// Chain
    #[command(flatten)]
    pub chain: Chain,
    /// The addresses that `deploy` or `register` wrote; without it contracts that are missing are deployed first
    #[arg(long, value_name = "FILE", requires = "rpc_url")]
    pub deployment: Option<PathBuf>,
    /// Ask the registry by model id, registering the model first where it is not; a deployment by `register` says so itself
    #[arg(long, conflicts_with = "deployment")]
    pub registry: bool,
    /// The metadata URI that the model is registered with
    #[arg(long, value_name = "URI", default_value = "", requires = "registry")]
    pub metadata_uri: String,
    /// Expected
    #[command(flatten)]
    pub expect: Expect,
}

/// `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A compiled model, a key, a reference string or a proof
    pub file: PathBuf,
    /// Expected, of a key
    #[command(flatten)]
    pub expect: Expect,
    /// Of a compiled model: how the fast prover goes about its constraints
    #[arg(long)]
    pub plan: bool,
    /// What the prover may keep for reuse, in MiB, for the plan
    #[arg(long, value_name = "MIB", default_value_t = DEFAULT_MEMORY_MIB, value_parser = memory_range(), requires = "plan")]
    pub memory: u32,
}

/// `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// ONNX models; the input is NAME.input.json beside each, else drawn at random
    #[arg(required_unless_present_any = ["scaling", "stages"])]
    pub models: Vec<PathBuf>,
    /// Instead: prove a dense and a convolutional network that double STEPS-1 times, 16-fold by default, and fit the
    /// planner's cost model; of --repeat proofs the fastest counts
    #[arg(
        long, value_name = "STEPS", num_args = 0..=1, require_equals = true, default_missing_value = "5",
        value_parser = clap::value_parser!(u32).range(1..=6),
        conflicts_with_all = ["models", "input", "bits", "plain", "gas", "layout_only"]
    )]
    pub scaling: Option<u32>,
    /// Instead: measure the backend stage by stage, on a circuit of 60 columns and 2^FIRST to 2^LAST rows, every STEP-th,
    /// and on the models, if any; medians of --repeat runs after one that does not count. By default 14..24/2, on this
    /// processor 14..18/2
    #[arg(
        long, value_name = "FIRST..LAST[/STEP]", num_args = 0..=1, require_equals = true,
        conflicts_with_all = ["scaling", "plain", "gas", "layout_only"]
    )]
    pub stages: Option<Option<Sizes>>,
    /// With --stages: the folder for the figures, stages.json, and their picture, stages.svg
    #[arg(
        short = 'o',
        long = "output",
        alias = "out",
        value_name = "DIR",
        requires = "stages"
    )]
    pub output: Option<PathBuf>,
    /// Inputs for all the models instead: they calibrate, and the first is proved
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Bits of an activation
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(4..=16))]
    pub bits: u32,
    /// What to minimize
    #[arg(long, value_enum, default_value_t = Optimize::Prover)]
    pub optimize: Optimize,
    /// Prove this many times; the first is reported, and the median of those after it
    #[arg(long, default_value_t = 1, value_parser = parse_positive)]
    pub repeat: usize,
    /// What the prover may keep for reuse, in MiB; 256 with --repeat, else nothing: it pays from the second proof on
    #[arg(long, value_name = "MIB", value_parser = memory_range())]
    pub memory: Option<u32>,
    /// Where the fast prover computes
    #[arg(long, value_enum, default_value_t = Backend::Cpu)]
    pub backend: Backend,
    /// Also prove with the plain prover, and report its time and memory
    #[arg(long, conflicts_with = "layout_only")]
    pub plain: bool,
    /// Also deploy to the embedded EVM and report the gas
    #[arg(long)]
    pub gas: bool,
    /// Stop after the layout: no keys, no proof
    #[arg(long, conflicts_with = "gas")]
    pub layout_only: bool,
}

/// Logarithms of numbers of rows: every `step`-th from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The least.
    pub first: u32,
    /// None is greater.
    pub last: u32,
    /// At least 1.
    pub step: u32,
}

impl Sizes {
    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = u32> {
        (self.first..=self.last).step_by(self.step as usize)
    }
}

impl std::str::FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (range, step) = text.split_once('/').unwrap_or((text, "1"));
        let (first, last) = range.split_once("..").unwrap_or((range, range));
        let number = |text: &str| text.trim().parse::<u32>().ok();
        match (number(first), number(last), number(step)) {
            (Some(first), Some(last), Some(step))
                if LEAST_SIZE <= first && first <= last && last <= GREATEST_SIZE && step > 0 =>
            {
                Ok(Self { first, last, step })
            }
            _ => Err(format!(
                "give FIRST..LAST or FIRST..LAST/STEP within {LEAST_SIZE}..{GREATEST_SIZE}, such as 14..24/2"
            )),
        }
    }
}

/// Sizes that there are: of the circuit, and of a reference string.
const LEAST_SIZE: u32 = 6;
const GREATEST_SIZE: u32 = 28;

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Which of the bundled images to prove
    #[arg(long, default_value_t = 0)]
    pub image: usize,
    /// What to minimize
    #[arg(long, value_enum, default_value_t = Optimize::Gas)]
    pub optimize: Optimize,
    /// Where the proof is computed
    #[arg(long, value_enum, default_value_t = Backend::Cpu)]
    pub backend: Backend,
    /// Keep the model, keys and proof in this folder
    #[arg(short = 'o', long, alias = "keep", value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// What the fast prover may keep for reuse unless told otherwise, in MiB.
pub const DEFAULT_MEMORY_MIB: u32 = 256;

/// What the prover keeps where nobody says: nothing for a single proof.
pub fn memory_or_default(memory: Option<u32>, repeat: usize) -> u32 {
    memory.unwrap_or(if repeat > 1 { DEFAULT_MEMORY_MIB } else { 0 })
}

fn memory_range() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(..=1 << 20)
}

/// Refuses what used to be said by `--output` in `compile`, and would now be the name of a file.
fn output_file(path: PathBuf) -> Result<PathBuf, String> {
    match path.to_str().map(|text| Visibility::from_str(text, false)) {
        Some(Ok(_)) => Err(format!(
            "this is the file to write; who sees the output is said by --output-visibility {}",
            path.display()
        )),
        _ => Ok(path),
    }
}

/// Longest name of a model, in bytes.
const LONGEST_NAME: usize = 64;

fn parse_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-. ".contains(c);
    if text.trim().is_empty() || text.len() > LONGEST_NAME || !text.chars().all(fits) {
        return Err(format!(
            "give 1 to {LONGEST_NAME} letters, digits, `_`, `-`, `.` or spaces"
        ));
    }
    Ok(text.trim().to_owned())
}

fn parse_positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(value) if value > 0 => Ok(value),
        _ => Err("give a whole number, at least 1".into()),
    }
}

fn parse_decibels(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(decibels) if decibels > 0.0 && decibels.is_finite() => Ok(decibels),
        _ => Err("give decibels above 0, such as 40".into()),
    }
}

fn parse_range(text: &str) -> Result<(f32, f32), String> {
    let parsed = text
        .split_once(',')
        .map(|(low, high)| (low.trim().parse::<f32>(), high.trim().parse::<f32>()));
    match parsed {
        Some((Ok(low), Ok(high))) if low < high && low.is_finite() && high.is_finite() => {
            Ok((low, high))
        }
        _ => Err("give two numbers LOW,HIGH with LOW below HIGH, such as 0,1".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!(parse_range("-1, 1.5"), Ok((-1.0, 1.5)));
        assert!(parse_range("1,1").is_err());
        assert!(parse_range("nan,1").is_err());
        for text in ["minmax", "entropy", "99.9"] {
            assert_eq!(text.parse::<Ranges>().unwrap().to_string(), text);
        }
        for text in ["101", "50", "nan", "most"] {
            assert!(text.parse::<Ranges>().is_err(), "{text}");
        }
        assert!(parse_positive("0").is_err());
        assert_eq!(parse_decibels("40.5"), Ok(40.5));
        for text in ["0", "-3", "nan", "inf", "much"] {
            assert!(parse_decibels(text).is_err(), "{text}");
        }
        assert_eq!(parse_name(" credit v1.2 ").as_deref(), Ok("credit v1.2"));
        for text in ["", " ", "a/b", "é", &"a".repeat(65)] {
            assert!(parse_name(text).is_err(), "{text}");
        }
        let sizes = |text: &str| text.parse::<Sizes>().map(|s| s.each().collect::<Vec<_>>());
        assert_eq!(sizes("14..19/2").unwrap(), [14, 16, 18]);
        assert_eq!(sizes("8..9").unwrap(), [8, 9]);
        assert_eq!(sizes("8").unwrap(), [8]);
        for text in ["5..8", "9..8", "8..29", "8..9/0", "8-9", ""] {
            assert!(sizes(text).is_err(), "{text}");
        }
    }
}
