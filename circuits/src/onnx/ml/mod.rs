//! Classical models: the operators of the domain `ai.onnx.ml`.
//!
//! | file | operators |
//! |---|---|
//! | `trees` | TreeEnsembleClassifier, TreeEnsembleRegressor, TreeEnsemble |
//! | `linear` | LinearClassifier, LinearRegressor |
//! | `svm` | SVMClassifier, SVMRegressor |
//! | `features` | Scaler, Normalizer, Binarizer, Imputer, FeatureVectorizer, ArrayFeatureExtractor |
//! | `labels` | class labels; LabelEncoder of them, ZipMap |
//! | `scores` | what a classifier makes of its scores |
//! | `forest` | trees as comparisons and leaves |
//! | `shapes` | their shapes, for inference |

mod features;
mod forest;
mod labels;
mod linear;
mod scores;
pub(super) mod shapes;
mod svm;
mod trees;

use tract_onnx::pb::ModelProto;

use super::ops::Importer;

/// The domain's name.
const DOMAIN: &str = "ai.onnx.ml";

/// The operators, with their domain.
pub(super) const OPERATORS: &[(&str, Importer)] = &[
    (
        "ai.onnx.ml.ArrayFeatureExtractor",
        features::array_feature_extractor,
    ),
    ("ai.onnx.ml.Binarizer", features::binarizer),
    ("ai.onnx.ml.FeatureVectorizer", features::feature_vectorizer),
    ("ai.onnx.ml.Imputer", features::imputer),
    ("ai.onnx.ml.LabelEncoder", labels::label_encoder),
    ("ai.onnx.ml.LinearClassifier", linear::classifier),
    ("ai.onnx.ml.LinearRegressor", linear::regressor),
    ("ai.onnx.ml.Normalizer", features::normalizer),
    ("ai.onnx.ml.SVMClassifier", svm::classifier),
    ("ai.onnx.ml.SVMRegressor", svm::regressor),
    ("ai.onnx.ml.Scaler", features::scaler),
    ("ai.onnx.ml.TreeEnsemble", trees::ensemble),
    ("ai.onnx.ml.TreeEnsembleClassifier", trees::classifier),
    ("ai.onnx.ml.TreeEnsembleRegressor", trees::regressor),
    ("ai.onnx.ml.ZipMap", labels::zip_map),
];

/// True for a model with operators of the domain.
pub(super) fn uses_domain(model: &ModelProto) -> bool {
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    nodes.into_iter().any(|node| node.domain == DOMAIN)
}
