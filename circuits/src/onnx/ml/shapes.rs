//! Shapes of the operators of `ai.onnx.ml`, so that `tract` infers those of what follows.

use tract_onnx::{
    Onnx,
    pb::NodeProto,
    prelude::{DatumType, TractError, TractResult},
    tract_hir::internal::*,
};

use super::OPERATORS;
use crate::onnx::attributes::NodeView;

/// Teaches `tract` the shapes of all operators.
pub(in crate::onnx) fn register(onnx: &mut Onnx) {
    for (name, _) in OPERATORS {
        let name = name.strip_prefix("ai.onnx.ml.").unwrap_or(name);
        onnx.op_register
            .insert(name, |_, node| Ok((expand(outputs(node)), Vec::new())));
    }
}

/// The shape of an output.
#[derive(Clone, Debug)]
enum Shape {
    /// `[batch]`
    Label,
    /// `[batch, n]`
    Row(usize),
    /// That of the first operand.
    Same,
    /// Leading axes of the first operand, the elements of the second.
    Extracted,
}

/// An operator of which nothing but the shapes is known here.
#[derive(Clone, Debug)]
struct Shapes(Vec<Shape>);

fn outputs(node: &NodeProto) -> Shapes {
    let view = NodeView::new(node);
    let count = |name: &str| view.ints(name).map_or(0, <[i64]>::len);
    let strings = view
        .strings("classlabels_strings")
        .map_or(0, |list| list.len());
    let classes = count("classlabels_int64s")
        .max(count("classlabels_ints"))
        .max(strings);
    let number = |name: &str| {
        view.int(name)
            .map_or(1, |n| usize::try_from(n).unwrap_or(0))
    };
    let all = match node.op_type.as_str() {
        "TreeEnsembleClassifier" | "LinearClassifier" => vec![Shape::Label, Shape::Row(classes)],
        "SVMClassifier" => {
            let scores = match view.floats("prob_a") {
                Some([_, ..]) => classes,
                _ => (classes * classes.saturating_sub(1) / 2).max(2),
            };
            vec![Shape::Label, Shape::Row(scores)]
        }
        "TreeEnsembleRegressor" | "TreeEnsemble" => vec![Shape::Row(number("n_targets"))],
        "LinearRegressor" => vec![Shape::Row(number("targets"))],
        "SVMRegressor" => vec![Shape::Row(1)],
        "FeatureVectorizer" => {
            let sizes = view.ints("inputdimensions").unwrap_or_default();
            let total = sizes.iter().map(|&n| usize::try_from(n).unwrap_or(0));
            vec![Shape::Row(total.fold(0, usize::saturating_add))]
        }
        "ArrayFeatureExtractor" => vec![Shape::Extracted],
        _ => vec![Shape::Same],
    };
    let wanted = node.output.iter().filter(|name| !name.is_empty()).count();
    Shapes(all.into_iter().take(wanted.max(1)).collect())
}

impl Expansion for Shapes {
    fn name(&self) -> StaticName {
        "ai.onnx.ml".into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.0.len())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        if inputs.is_empty() || outputs.len() != self.0.len() {
            return Err(TractError::msg("wrong number of operands or outputs"));
        }
        for (shape, output) in self.0.iter().zip(outputs) {
            match shape {
                Shape::Label => {
                    s.equals(&output.datum_type, DatumType::I64)?;
                    s.equals(&output.rank, 1)?;
                    s.equals(&output.shape[0], &inputs[0].shape[0])?;
                }
                Shape::Row(n) => {
                    s.equals(&output.datum_type, DatumType::F32)?;
                    s.equals(&output.rank, 2)?;
                    s.equals(&output.shape[0], &inputs[0].shape[0])?;
                    s.equals(&output.shape[1], n.to_dim())?;
                }
                Shape::Same => {
                    s.equals(&output.datum_type, &inputs[0].datum_type)?;
                    s.equals(&output.shape, &inputs[0].shape)?;
                }
                Shape::Extracted => {
                    let [array, indices] = inputs else {
                        return Err(TractError::msg("it takes an array and indices"));
                    };
                    s.equals(&output.datum_type, &array.datum_type)?;
                    s.given_2(&array.shape, &indices.shape, move |s, array, indices| {
                        let lead = &array[..array.len().saturating_sub(1)];
                        let mut dims: TVec<TDim> = lead.iter().cloned().collect();
                        if dims.is_empty() {
                            dims.push(1.to_dim());
                        }
                        dims.push(indices.iter().cloned().product());
                        s.equals(&output.shape, dims)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn wire(
        &self,
        _prefix: &str,
        _model: &mut TypedModel,
        _inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        Err(TractError::msg(
            "only the shapes of this operator are known",
        ))
    }
}
