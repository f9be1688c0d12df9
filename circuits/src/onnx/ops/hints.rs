//! What to do about an operator without an importer.

/// A remedy in words, the nearest that there is.
pub(super) fn hint(op: &str) -> &'static str {
    let bare = op.rsplit('.').next().unwrap_or(op);
    let has = |parts: &[&str]| parts.iter().any(|part| bare.contains(part));
    if let Some((domain, _)) = op.rsplit_once('.') {
        if domain.starts_with("com.microsoft") {
            return "it is ONNX Runtime's own: export the model without that runtime's fusions";
        }
        if !domain.starts_with("ai.onnx") {
            return "it is of a domain of its own: write it with ONNX's operators before the export";
        }
    }
    match bare {
        "Loop" | "Scan" => "export the model with its loops unrolled: lengths must be fixed",
        "NonZero" | "NonMaxSuppression" | "Unique" | "Compress" => {
            "the shape of its result depends on the data: end the model before it, and run it on the proved outputs"
        }
        "Bernoulli" | "Multinomial" => {
            "a proved model gives one output for one input: export it for inference"
        }
        "DFT" | "STFT" | "MelWeightMatrix" | "ImageDecoder" => {
            "compute it before the model, and make its result the model's input"
        }
        "OneHotEncoder" | "DictVectorizer" | "CategoryMapper" | "CastMap" | "TfIdfVectorizer"
        | "RegexFullMatch" => "encode text and categories as numbers before the model",
        _ if has(&["Random"]) => {
            "a proved model gives one output for one input: export it for inference"
        }
        _ if has(&["String"]) => "encode text and categories as numbers before the model",
        _ if has(&["Sequence", "Optional"]) => {
            "sequences and optional values have no fixed shape: use Split, Concat and tensors"
        }
        _ if has(&["QLinear", "Integer"]) => {
            "quantize the model with QuantizeLinear and DequantizeLinear around the float operator (QDQ)"
        }
        _ => "write it with those that docs/operators.md lists, or end the model before it",
    }
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn remedies_go_by_the_kind_of_the_operator() {
        for (op, said) in [
            ("Loop", "unrolled"),
            ("RandomNormalLike", "inference"),
            ("ai.onnx.ml.OneHotEncoder", "as numbers"),
            ("com.microsoft.FusedConv", "ONNX Runtime"),
            ("com.example.Relu", "domain"),
            ("QLinearSoftmax", "QDQ"),
            ("Det", "docs/operators.md"),
        ] {
            assert!(hint(op).contains(said), "{op}: {}", hint(op));
        }
    }
}
